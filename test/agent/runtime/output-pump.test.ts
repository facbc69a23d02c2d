import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { OutputPump } from '../../../agent/runtime/oci/output-pump.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { eventually } from '../../eventually.ts'

describe('output of a command', () => {
  const clock = new FakeClock()
  let stdout: PassThrough
  let stderr: PassThrough
  let taken: string[]
  let failures: GantryError[]

  beforeEach(() => {
    stdout = new PassThrough()
    stderr = new PassThrough()
    taken = []
    failures = []
  })

  function pump(take: (name: string, text: string) => Promise<void> | void): OutputPump {
    return new OutputPump(
      [
        ['stdout', stdout],
        ['stderr', stderr],
      ],
      (name, chunk) => take(name, Buffer.from(chunk).toString()),
      (error) => failures.push(error),
      clock,
    )
  }

  it('holds one chunk of a stream at a time, and does not stop the other', async () => {
    let free!: () => void
    pump((name, text) => {
      taken.push(`${name} ${text}`)
      return name === 'stdout' ? new Promise((resolve) => (free = resolve)) : undefined
    })
    stdout.write('a')
    await eventually(() => taken.length === 1)
    stdout.write('b')
    stderr.write('c')
    stderr.write('d')
    await eventually(() => taken.includes('stderr d'))
    assert.deepEqual(taken, ['stdout a', 'stderr c', 'stderr d'])
    free()
    await eventually(() => taken.includes('stdout b'))
  })

  it('is not done while somebody is still taking, however long', async () => {
    let free!: () => void
    const output = pump((name, text) => {
      taken.push(text)
      return text === 'a' ? new Promise((resolve) => (free = resolve)) : undefined
    })
    stdout.write('a')
    await eventually(() => taken.length === 1)
    stdout.end('b')
    stderr.end()
    let done = false
    const drained = output.drain().then(() => (done = true))
    await clock.advance(60_000)
    assert.equal(done, false)
    free()
    await drained
    assert.deepEqual(taken, ['a', 'b'])
  })

  it('does not wait for what the command left behind: not in silence, not with more than a pipe holds', async () => {
    const silent = pump(() => undefined).drain()
    await clock.advance(500)
    await silent
    stdout = new PassThrough()
    const talking = pump(() => undefined).drain()
    const writing = setInterval(() => stdout.write(Buffer.alloc(64 * 1024)), 1)
    try {
      await talking
    } finally {
      clearInterval(writing)
    }
    assert.equal(clock.pending, 0)
  })

  it('tells when who takes fails, and ends when stopped', async () => {
    const output = pump(() => Promise.reject(new GantryError('Cancelled', 'gone')))
    stdout.write('a')
    await eventually(() => failures.length === 1)
    assert.equal(failures[0]!.message, 'gone')
    const never = pump(() => new Promise(() => undefined))
    stderr.write('a')
    const drained = never.drain()
    never.stop()
    await drained
    output.stop()
    await output.drain()
  })
})
