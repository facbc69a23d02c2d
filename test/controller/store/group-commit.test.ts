import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { CommitResult, Operation, Term } from '../../../controller/store/contract.ts'
import { GroupCommit, type WriteResult } from '../../../controller/store/group-commit.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { committed, failsWith, put, remove } from '../../contract/store.ts'

/** A memory store that counts transactions and holds each until it is let go. */
class SlowStore extends MemoryStore {
  readonly sizes: number[] = []
  readonly held: (() => void)[] = []
  hold = false
  failure: GantryError | undefined

  override async commit(operations: readonly Operation[], term?: Term): Promise<CommitResult> {
    this.sizes.push(operations.length)
    if (this.hold) await new Promise<void>((resolve) => this.held.push(resolve))
    if (this.failure !== undefined) throw this.failure
    return super.commit(operations, term)
  }

  release(): void {
    this.hold = false
    for (const go of this.held.splice(0)) go()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('group commit', () => {
  let store: SlowStore
  let group: GroupCommit

  beforeEach(() => {
    store = new SlowStore(new FakeClock())
    group = new GroupCommit(store)
  })

  it('sends writes of one turn together, at most 100', async () => {
    const results = await Promise.all(Array.from({ length: 250 }, (_, index) => group.write(put(`/k${index}`, 'x'))))
    assert.deepEqual(store.sizes, [100, 100, 50])
    assert.deepEqual(new Set(results.map(({ outcome }) => outcome)), new Set(['committed']))
  })

  it('gathers what comes while as many transactions as allowed are under way', async () => {
    store.hold = true
    const early: Promise<WriteResult>[] = []
    for (let index = 0; index < 2; index++) {
      early.push(group.write(put(`/early${index}`, 'x')))
      await turn()
    }
    const late = Array.from({ length: 30 }, (_, index) => group.write(put(`/late${index}`, 'x')))
    await turn()
    assert.deepEqual(store.sizes, [1, 1])
    store.release()
    await Promise.all([...early, ...late])
    assert.deepEqual(store.sizes, [1, 1, 30])
  })

  it('tells conflicts to those who met them and commits the rest', async () => {
    await committed(store, put('/b', 'present'))
    const results = await Promise.all([
      group.write(put('/a', '1', { is: 'absent' })),
      group.write(put('/b', '1', { is: 'absent' })),
      group.write(put('/c', '1', { is: 'at', revision: 999 })),
      group.write(put('/d', '1')),
    ])
    assert.deepEqual(
      results.map((result) => result.outcome),
      ['committed', 'conflict', 'conflict', 'committed'],
    )
    assert.equal(Buffer.from((results[1] as { current: { value: Uint8Array } }).current.value).toString(), 'present')
    assert.deepEqual(results[2], { outcome: 'conflict', current: undefined })
  })

  it('writes a group whole or not at all, beside others, and tells its conflicts by their place in it', async () => {
    await committed(store, put('/taken', 'present'))
    const results = await Promise.all([
      group.write(put('/a', '1')),
      group.writeAll([put('/b', '1'), put('/taken', '1', { is: 'absent' }), put('/c', '1', { is: 'absent' })]),
      group.writeAll([put('/d', '1', { is: 'absent' }), remove('/taken')]),
      group.write(put('/b', '2', { is: 'absent' })),
    ])
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['committed', 'conflict', 'committed', 'committed'],
    )
    const [, conflicted] = results
    assert.deepEqual(
      conflicted!.outcome === 'conflict' &&
        'conflicts' in conflicted! &&
        conflicted.conflicts.map(({ index, current }) => [index, current?.key]),
      [[1, '/taken']],
    )
    assert.deepEqual(
      (await store.list('/')).entries.map(({ key, value }) => `${key} ${Buffer.from(value).toString()}`),
      ['/a 1', '/b 2', '/d 1'],
    )
  })

  it('does not divide groups, whatever a transaction takes', async () => {
    const results = await Promise.all(
      Array.from({ length: 7 }, (_, index) =>
        group.writeAll(Array.from({ length: 30 }, (_nothing, at) => put(`/k${index}/${at}`, 'x'))),
      ),
    )
    assert.deepEqual(store.sizes, [90, 90, 30])
    assert.deepEqual(new Set(results.map(({ outcome }) => outcome)), new Set(['committed']))
    await assert.rejects(
      group.writeAll(Array.from({ length: 101 }, (_, index) => put(`/m${index}`, 'x'))),
      failsWith('InvalidArgument'),
    )
    await assert.rejects(group.writeAll([put('/twice', '1'), put('/twice', '2')]), failsWith('InvalidArgument'))
  })

  it('keeps the order of the writes of a key', async () => {
    const results = await Promise.all([
      group.write(put('/a', '1')),
      group.write(put('/a', '2')),
      group.write(remove('/a')),
      group.write(put('/a', '3', { is: 'absent' })),
      group.write(put('/b', '1')),
    ])
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      Array(5).fill('committed'),
    )
    const revisions = results.map((result) => (result as { revision: number }).revision)
    assert.ok(revisions[0]! < revisions[1]! && revisions[1]! < revisions[2]! && revisions[2]! < revisions[3]!)
    assert.equal(revisions[4], revisions[0], 'another key need not wait')
    assert.equal(Buffer.from((await store.get('/a'))!.value).toString(), '3')
  })

  it('separates terms, and tells a deposed writer', async () => {
    const term = { key: '/leader', createRevision: await committed(store, put('/leader', 'one')) }
    const old = { key: '/leader', createRevision: 1 }
    const results = await Promise.all([
      group.write(put('/a', '1'), term),
      group.write(put('/b', '1'), old),
      group.write(put('/c', '1')),
      group.write(put('/d', '1'), { ...term }),
    ])
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['committed', 'deposed', 'committed', 'committed'],
    )
    assert.deepEqual(store.sizes, [1, 2, 1, 1])
  })

  it('refuses a value too large without troubling the others, and keeps transactions below the size of a request', async () => {
    const large = (key: string, length: number): Operation => ({
      kind: 'put',
      key,
      value: new Uint8Array(length),
      expect: { is: 'any' },
    })
    const refused = assert.rejects(
      group.write(large('/huge', 1_500_001)),
      (error: GantryError) => error.code === 'ResourceExhausted' && error.message.includes('1500001'),
    )
    await Promise.all([
      refused,
      group.write(large('/a', 1_400_000)),
      group.write(large('/b', 600_000)),
      group.write(large('/c', 600_000)),
      group.write(large('/d', 10)),
    ])
    assert.deepEqual(store.sizes, [1, 2, 1])
  })

  it('passes a failure on to every writer of the transaction, then goes on', async () => {
    store.failure = new GantryError('Unavailable', 'away')
    const writes = [group.write(put('/a', '1')), group.write(put('/b', '1'))]
    for (const write of writes) await assert.rejects(write, failsWith('Unavailable'))
    store.failure = undefined
    assert.equal((await group.write(put('/a', '1'))).outcome, 'committed')
  })

  it('ends as if each key had been written one by one', async () => {
    const expectation = fc.constantFrom<Operation['expect']>({ is: 'any' }, { is: 'absent' })
    const write = fc.record({
      key: fc.constantFrom('/a', '/b', '/c', '/d'),
      value: fc.string({ maxLength: 3 }),
      expect: expectation,
      remove: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 40 }), async (writes) => {
        const grouped = new SlowStore(new FakeClock())
        const group = new GroupCommit(grouped)
        const operations = writes.map(({ key, value, expect, remove: removing }) =>
          removing ? remove(key) : put(key, value, expect),
        )
        const results = await Promise.all(operations.map((operation) => group.write(operation)))
        const single = new MemoryStore(new FakeClock())
        const expected: string[] = []
        for (const operation of operations) expected.push((await single.commit([operation])).outcome)
        assert.deepEqual(
          results.map(({ outcome }) => outcome),
          expected,
        )
        const state = async (of: MemoryStore): Promise<unknown> =>
          (await of.list('/')).entries.map(({ key, value }) => [key, Buffer.from(value).toString()])
        assert.deepEqual(await state(grouped), await state(single))
      }),
      { numRuns: 100 },
    )
  })
})
