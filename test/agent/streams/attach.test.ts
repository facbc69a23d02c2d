import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { attachTo } from '../../../agent/streams/attach.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import type { AttachStart, ExecInput } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { makePod } from '../fakes.ts'
import { NodeFixture } from '../pods/fixture.ts'

describe('attaching to a container', () => {
  let node: NodeFixture
  let group: RunGroup
  let inputs: Channel<ExecInput>
  let leaving: AbortController

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
    group = new RunGroup()
    inputs = new Channel()
    leaving = new AbortController()
  })

  afterEach(async () => {
    leaving.abort(new GantryError('Cancelled', 'the test is over'))
    inputs.close()
    await group.wait()
    await node.remove()
  })

  async function running(more: object = {}): Promise<void> {
    const pod = makePod('web')
    Object.assign(pod.spec.containers[0]!, more)
    pod.spec.restartPolicy = 'Never'
    node.assignAll(pod)
    await node.phase('web', 'Running')
  }

  const container = () => [...node.machine.containers.values()][0]!

  /** The container writes this, as its shim puts it into the log. */
  function writes(text: string, tag: 'F' | 'P' = 'F', stream = 'stdout'): void {
    const path = container().spec.logPath
    mkdirSync(dirname(path), { recursive: true })
    appendFileSync(path, `2026-01-01T00:00:00.000000000Z ${stream} ${tag} ${text}\n`)
  }

  const start = (change: Partial<AttachStart> = {}): AttachStart => ({
    namespace: 'default',
    pod: 'web',
    container: '',
    stdin: false,
    tty: false,
    fromStart: false,
    size: undefined,
    ...change,
  })

  /** What comes, as text; the exit code at last. */
  function attached(change: Partial<AttachStart> = {}): { text: () => string; ended: Promise<number> } {
    let text = ''
    const ended = (async () => {
      for await (const { output } of attachTo(
        { target: node.pods.target('uid-web'), runtime: node.runtime, group },
        start(change),
        inputs,
        leaving.signal,
      )) {
        if (output?.case === 'exit') return output.value.code
        if (output !== undefined) text += Buffer.from(output.value).toString()
      }
      throw new Error('no exit')
    })()
    return { text: () => text, ended }
  }

  it('passes on what is typed, and tells what is written from then on, unfinished lines too, and how it ends', async () => {
    await running({ stdin: true })
    writes('before')
    const { text, ended } = attached({ stdin: true })
    inputs.push({ input: { case: 'stdin', value: Buffer.from('ls\n') } })
    await eventually(() => container().input.text === 'ls\n')
    writes('$ ', 'P')
    await eventually(() => text() === '$ ')
    writes('oops', 'F', 'stderr')
    node.machine.end(container(), 7)
    assert.equal(await ended, 7)
    assert.equal(text(), '$ oops\n')
  })

  it('tells all from the first word where that is asked for', async () => {
    await running()
    writes('first')
    const { text, ended } = attached({ fromStart: true })
    await eventually(() => text() === 'first\n')
    node.machine.end(container(), 0)
    assert.equal(await ended, 0)
  })

  it('ends the input with the first who leaves only where the container says so', async () => {
    await running({ stdin: true, stdinOnce: true })
    const { ended } = attached({ stdin: true })
    inputs.push({ input: { case: 'stdinClosed', value: true } })
    await eventually(() => container().input.ended)
    node.machine.end(container(), 0)
    assert.equal(await ended, 0)
  })

  it('gives a terminal its size before anything is typed, and later ones', async () => {
    await running({ stdin: true, tty: true })
    const { ended } = attached({ stdin: true, tty: true, size: { width: 80, height: 24 } })
    inputs.push({ input: { case: 'resize', value: { width: 100, height: 30 } } })
    await eventually(() => container().sizes.length === 3)
    assert.deepEqual(container().sizes, ['81x25', '80x24', '100x30'])
    node.machine.end(container(), 0)
    assert.equal(await ended, 0)
  })

  it('says what the container lacks', async () => {
    await running({ stdin: true })
    await assert.rejects(
      attached({ stdin: true, tty: true }).ended,
      (error) => GantryError.is(error, 'FailedPrecondition') && /was made without a terminal/.test(error.message),
    )
    node.machine.end(container(), 0)
    await node.phase('web', 'Succeeded')
    await assert.rejects(
      attached().ended,
      (error) => GantryError.is(error, 'FailedPrecondition') && /is not running/.test(error.message),
    )
  })
})
