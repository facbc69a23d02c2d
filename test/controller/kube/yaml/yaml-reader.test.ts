import assert from 'node:assert/strict'
import { HttpError } from '../../../../controller/kube/status.ts'
import { READ_DEADLINE, YamlReader } from '../../../../controller/kube/yaml/yaml-reader.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { GantryError } from '../../../../proto/base/errors.ts'

const LONG = `data:\n${Array.from({ length: 200 }, (_, index) => `  key${index}: value`).join('\n')}\n`
/** Takes a good part of a second, though it is small. */
const SLOW = `x: [${'a,'.repeat(40_000)}a]`

async function refusal(work: Promise<unknown>): Promise<string> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(thrown instanceof HttpError, String(thrown))
  return `${thrown.status} ${thrown.message}`
}

describe('YAML beside the main thread', () => {
  let clock: FakeClock
  let reader: YamlReader
  beforeEach(() => {
    clock = new FakeClock()
    reader = new YamlReader(clock)
  })
  afterEach(() => reader.stop())

  it('is read as it would be at once', async () => {
    const { value, problems } = await reader.read(`${LONG}data: {}\n`, 'a')
    assert.equal(Object.keys((value as { data: object }).data).length, 200)
    assert.deepEqual(
      problems.map(({ field, message, unknownOrDuplicate: surplus }) => [field, message, surplus]),
      [['data', 'duplicate field', true]],
    )
    assert.match(await refusal(reader.read(`${LONG}  - [`, 'a')), /^400 the body is not YAML at line \d+, column \d+/)
    assert.match(await refusal(reader.read(`a: "${'x'.repeat(600_000)}"`, 'a')), /^413 the body is YAML of more than/)
  })

  it('does not keep anybody else waiting', async () => {
    let over = false
    const slow = reader.read(SLOW, 'hostile').finally(() => (over = true))
    let longest = 0
    let looks = 0
    for (let last = performance.now(); !over; looks++) {
      await new Promise(setImmediate)
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }
    await slow
    // The thread works all the while: here there is time for everything else.
    assert.ok(looks > 100, `the main thread looked around ${looks} times, ${Math.round(longest)} ms apart at most`)
  })

  it('is read in turn by user', async () => {
    const order: string[] = []
    const read = (text: string, user: string): Promise<unknown> =>
      reader
        .read(text, user)
        .catch(() => undefined)
        .then(() => order.push(user))
    await Promise.all([
      ...Array.from({ length: 5 }, () => read(`${LONG}x: [${'a,'.repeat(1_000)}a]`, 'hostile')),
      read(LONG, 'victim'),
    ])
    // The first is under way when the second user comes, whose turn comes after one more.
    assert.deepEqual(order.slice(0, 4), ['hostile', 'hostile', 'victim', 'hostile'])
  })

  it('takes no longer than it may, and the next text is read again', async () => {
    const slow = refusal(reader.read(SLOW, 'a'))
    const next = reader.read(LONG, 'b')
    await clock.advance(READ_DEADLINE)
    assert.equal(await slow, '413 the body takes longer than 10 s to be read as YAML: send it as JSON')
    assert.ok('data' in ((await next).value as object))
  })

  it('means no more than a body may hold, however few the aliases are', async () => {
    const text = `a: &a "${'x'.repeat(100_000)}"\nb: [${'*a,'.repeat(1_000)}*a]\n`
    assert.match(
      await refusal(reader.read(text, 'a')),
      /^413 the body means more than 3145728 characters, with its aliases written out/,
    )
    const levels = Array.from(
      { length: 6 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array.from({ length: 9 }, () => `*l${level}`).join(',')}]`,
    )
    assert.match(
      await refusal(reader.read(['l0: &l0 x', ...levels].join('\n'), 'a')),
      /^(?:413|400) .*more than \d+ values/,
    )
  })

  it('is told of the end', async () => {
    const waiting = reader.read(LONG, 'a')
    const stopped = reader.stop()
    await assert.rejects(waiting, (error) => GantryError.is(error, 'Unavailable'))
    await stopped
    await assert.rejects(reader.read(LONG, 'a'), (error) => GantryError.is(error, 'Unavailable'))
  })
})
