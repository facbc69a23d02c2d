import assert from 'node:assert/strict'
import type { ExecInput } from '../../../proto/gen/types.ts'
import { makePod } from '../fakes.ts'
import { NodeFixture } from '../pods/fixture.ts'

describe('commands in a container and a slow other side', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  it('makes a command wait that writes more than is read', async () => {
    let written = 0
    const chunks = function* (): Generator<string> {
      for (; written < 1_000; written++) yield 'x'
    }
    node.behaviour = () => ({ exec: () => ({ stdout: chunks(), exitCode: 0 }) })
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    const start = { namespace: 'default', pod: 'web', container: '', command: ['yes'], stdin: false, tty: false }
    let read = 0
    let most = 0
    for await (const { output } of node.exec(
      'uid-web',
      start,
      (async function* () {})(),
      new AbortController().signal,
    )) {
      if (output?.case === 'exit') break
      read++
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      most = Math.max(most, written - read)
    }
    assert.equal(read, 1_000)
    assert.ok(most <= 5, `${most} chunks were under way`)
  })

  it('takes no more input than a command reads', async () => {
    let sent = 0
    let most = 0
    let read = 0
    const input = async function* (): AsyncGenerator<ExecInput> {
      for (; sent < 1_000; sent++) yield { input: { case: 'stdin', value: Buffer.from('x') } }
    }
    node.runtime.exec = async (_id, { stdin }) => {
      for await (const _ of stdin!) {
        read++
        for (let turn = 0; turn < 20; turn++) await Promise.resolve()
        most = Math.max(most, sent - read)
      }
      return { exitCode: 0, message: '' }
    }
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    const start = { namespace: 'default', pod: 'web', container: '', command: ['cat'], stdin: true, tty: false }
    for await (const { output } of node.exec('uid-web', start, input(), new AbortController().signal))
      assert.equal(output?.case, 'exit')
    assert.equal(read, 1_000)
    assert.ok(most <= 5, `${most} pieces were under way`)
  })
})
