/** What every store must do; run for each implementation. */
import assert from 'node:assert/strict'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import {
  COMMIT_LIMIT,
  VALUE_LIMIT,
  type Entry,
  type Operation,
  type Store,
  type WatchBatch,
} from '../../controller/store/contract.ts'

export interface StoreFixture {
  readonly store: Store
  /** Forgets history up to a revision. */
  compact(revision: number): Promise<void>
  /** Makes leases of `seconds` that nobody keeps run out. */
  expireLeases(seconds: number): Promise<void>
}

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (entry: Entry | undefined): string | undefined =>
  entry === undefined ? undefined : Buffer.from(entry.value).toString()

export const put = (key: string, value: string, expect: Operation['expect'] = { is: 'any' }): Operation => ({
  kind: 'put',
  key,
  value: bytes(value),
  expect,
})
export const remove = (key: string, expect: Operation['expect'] = { is: 'any' }): Operation => ({
  kind: 'delete',
  key,
  expect,
})

/** Commits and gives the revision; fails if it was not committed. */
export async function committed(store: Store, ...operations: Operation[]): Promise<number> {
  const result = await store.commit(operations)
  assert.equal(result.outcome, 'committed')
  return (result as { revision: number }).revision
}

export const failsWith =
  (...codes: ErrorCode[]) =>
  (error: unknown): boolean =>
    GantryError.is(error, ...codes)

/** Events of a watch up to a revision, as text. */
async function eventsUntil(batches: AsyncIterable<WatchBatch>, revision: number): Promise<string[]> {
  const seen: string[] = []
  for await (const batch of batches) {
    for (const { type, entry } of batch.events) seen.push(`${entry.revision} ${type} ${entry.key}=${text(entry)}`)
    if (batch.revision >= revision) break
  }
  return seen
}

export function storeSuite(make: () => Promise<StoreFixture>): void {
  let fixture: StoreFixture
  let store: Store
  let run = 0
  /** Of this test alone: a real etcd is shared by the tests. */
  let prefix: string
  const abort = new AbortController()

  before(async () => {
    fixture = await make()
    store = fixture.store
  })
  beforeEach(() => void (prefix = `/gantry/test-${++run}/`))
  after(async () => {
    abort.abort()
    await store.close()
  })

  it('gives back what was put, with its revisions', async () => {
    const first = await committed(store, put(`${prefix}a`, 'one', { is: 'absent' }))
    const second = await committed(store, put(`${prefix}a`, 'two', { is: 'at', revision: first }))
    assert.ok(second > first)
    const entry = await store.get(`${prefix}a`)
    assert.deepEqual(
      { ...entry, value: text(entry) },
      { key: `${prefix}a`, value: 'two', revision: second, createRevision: first },
    )
    assert.equal(await store.get(`${prefix}b`), undefined)
  })

  it('commits all operations at one revision', async () => {
    await committed(store, put(`${prefix}gone`, 'x'))
    const revision = await committed(store, put(`${prefix}a`, '1'), put(`${prefix}b`, '2'), remove(`${prefix}gone`))
    const { entries } = await store.list(prefix)
    assert.deepEqual(
      entries.map((entry) => [entry.key, entry.revision]),
      [
        [`${prefix}a`, revision],
        [`${prefix}b`, revision],
      ],
    )
    assert.equal(await store.revision(), revision)
  })

  it('names each conflict with the current state, and does nothing', async () => {
    const a = await committed(store, put(`${prefix}a`, 'a'))
    const result = await store.commit([
      put(`${prefix}new`, 'n', { is: 'absent' }),
      put(`${prefix}a`, 'b', { is: 'absent' }),
      put(`${prefix}missing`, 'm', { is: 'at', revision: a }),
      remove(`${prefix}other`),
    ])
    assert.equal(result.outcome, 'conflict')
    const conflicts = (result as { conflicts: readonly { index: number; current: Entry | undefined }[] }).conflicts
    assert.deepEqual(
      conflicts.map(({ index, current }) => [index, text(current)]),
      [
        [1, 'a'],
        [2, undefined],
      ],
    )
    assert.equal(await store.get(`${prefix}new`), undefined)
    assert.equal(await store.revision(), a)
  })

  it('compares deletions as well', async () => {
    const first = await committed(store, put(`${prefix}a`, '1'))
    const second = await committed(store, put(`${prefix}a`, '2'))
    assert.equal((await store.commit([remove(`${prefix}a`, { is: 'at', revision: first })])).outcome, 'conflict')
    assert.equal((await store.commit([remove(`${prefix}a`, { is: 'at', revision: second })])).outcome, 'committed')
    assert.equal(await store.get(`${prefix}a`), undefined)
    assert.equal((await store.commit([remove(`${prefix}a`, { is: 'at', revision: second })])).outcome, 'conflict')
  })

  it('leaves the revision alone when a commit changes nothing', async () => {
    const before = await committed(store, put(`${prefix}a`, '1'))
    assert.equal(await committed(store, remove(`${prefix}absent`)), before)
  })

  it('refuses a writer whose term is over', async () => {
    const term = { key: `${prefix}leader`, createRevision: await committed(store, put(`${prefix}leader`, 'one')) }
    assert.equal((await store.commit([put(`${prefix}a`, '1')], term)).outcome, 'committed')
    assert.equal((await store.commit([put(`${prefix}a`, '1', { is: 'absent' })], term)).outcome, 'conflict')
    await committed(store, put(`${prefix}leader`, 'one renewed'))
    assert.equal((await store.commit([put(`${prefix}a`, '2')], term)).outcome, 'committed')
    await committed(store, remove(`${prefix}leader`))
    assert.equal((await store.commit([put(`${prefix}a`, '3')], term)).outcome, 'deposed')
    await committed(store, put(`${prefix}leader`, 'two'))
    assert.equal((await store.commit([put(`${prefix}a`, '3', { is: 'absent' })], term)).outcome, 'deposed')
    assert.equal(text(await store.get(`${prefix}a`)), '2')
  })

  it('refuses too many operations, a key twice and a value too large', async () => {
    const many = Array.from({ length: COMMIT_LIMIT + 1 }, (_, index) => put(`${prefix}${index}`, ''))
    await assert.rejects(store.commit(many), failsWith('InvalidArgument'))
    await assert.rejects(store.commit([put(`${prefix}a`, '1'), remove(`${prefix}a`)]), failsWith('InvalidArgument'))
    const large: Operation = {
      kind: 'put',
      key: `${prefix}a`,
      value: new Uint8Array(VALUE_LIMIT + 1),
      expect: { is: 'any' },
    }
    await assert.rejects(
      store.commit([large]),
      (error: GantryError) => error.code === 'ResourceExhausted' && error.message.includes(String(VALUE_LIMIT + 1)),
    )
    await committed(store, ...many.slice(1))
    assert.equal((await store.list(prefix)).count, COMMIT_LIMIT)
    await committed(store, { ...large, value: new Uint8Array(VALUE_LIMIT) })
    assert.equal((await store.get(`${prefix}a`))?.value.length, VALUE_LIMIT)
  })

  it('lists in pages of one snapshot', async () => {
    await committed(store, ...['a', 'b', 'c', 'd', 'e'].map((name) => put(`${prefix}${name}`, name)))
    const first = await store.list(prefix, { limit: 2 })
    assert.deepEqual([first.entries.map(text), first.next, first.count], [['a', 'b'], `${prefix}b`, 5])
    await committed(store, put(`${prefix}c`, 'changed'), remove(`${prefix}d`), put(`${prefix}f`, 'f'))
    const second = await store.list(prefix, { limit: 2, after: first.next!, revision: first.revision })
    assert.deepEqual([second.entries.map(text), second.revision, second.count], [['c', 'd'], first.revision, 5])
    const third = await store.list(prefix, { limit: 2, after: second.next!, revision: first.revision })
    assert.deepEqual([third.entries.map(text), third.next, third.count], [['e'], undefined, 5])
    assert.deepEqual((await store.list(prefix)).entries.map(text), ['a', 'b', 'changed', 'e', 'f'])
    assert.deepEqual(await store.list(`${prefix}none`), {
      entries: [],
      revision: await store.revision(),
      next: undefined,
      count: 0,
    })
  })

  it('lists an old revision until it is compacted', async () => {
    const old = await committed(store, put(`${prefix}a`, 'old'))
    const newer = await committed(store, put(`${prefix}a`, 'new'))
    assert.deepEqual((await store.list(prefix, { revision: old })).entries.map(text), ['old'])
    await fixture.compact(newer)
    await assert.rejects(store.list(prefix, { revision: old }), failsWith('Expired'))
    assert.deepEqual((await store.list(prefix, { revision: newer })).entries.map(text), ['new'])
  })

  it('watches what came after a revision, then what comes', async () => {
    const start = await committed(store, put(`${prefix}a`, '1'))
    const two = await committed(store, put(`${prefix}a`, '2'), put(`${prefix}b`, '1'))
    const watching = eventsUntil(store.watch(prefix, start, abort.signal), two + 2)
    await committed(store, put(`/gantry/elsewhere-${run}/a`, 'not under the prefix'))
    const four = await committed(store, remove(`${prefix}a`))
    assert.deepEqual(await watching, [
      `${two} put ${prefix}a=2`,
      `${two} put ${prefix}b=1`,
      `${four} delete ${prefix}a=`,
    ])
  })

  it('tells whole commits at a time', async () => {
    const start = await store.revision()
    const commits = 20
    const end = start + commits
    const watching = (async () => {
      const sizes = new Map<number, number>()
      for await (const batch of store.watch(prefix, start, abort.signal)) {
        const here = new Map<number, number>()
        for (const { entry } of batch.events) here.set(entry.revision, (here.get(entry.revision) ?? 0) + 1)
        for (const [revision, size] of here) {
          assert.ok(!sizes.has(revision), `revision ${revision} came in two batches`)
          sizes.set(revision, size)
        }
        if (batch.revision >= end) break
      }
      return sizes
    })()
    for (let index = 0; index < commits; index++)
      await committed(store, ...Array.from({ length: 50 }, (_, key) => put(`${prefix}${key}`, `${index}`)))
    const sizes = await watching
    assert.deepEqual(
      [...sizes],
      Array.from({ length: commits }, (_, index) => [start + 1 + index, 50]),
    )
  })

  it('tells progress to those who ask for the revision, though nothing under the prefix changed', async () => {
    const start = await store.revision()
    const batches = store.watch(prefix, start, abort.signal)[Symbol.asyncIterator]()
    const first = batches.next()
    await committed(store, put(`/gantry/elsewhere-${run}/a`, 'x'))
    const reached = await store.revision()
    let told = await first
    while (told.done !== true && told.value.revision < reached) told = await batches.next()
    assert.deepEqual(told.value, { revision: reached, events: [] })
    await batches.return?.()
  })

  it('ends a watch at once when its signal is aborted', async () => {
    const controller = new AbortController()
    const watching = eventsUntil(store.watch(prefix, await store.revision(), controller.signal), Infinity)
    controller.abort()
    assert.deepEqual(await watching, [])
    assert.deepEqual(await eventsUntil(store.watch(prefix, 1, controller.signal), Infinity), [])
  })

  it('refuses a watch after a compacted revision', async () => {
    const old = await committed(store, put(`${prefix}a`, '1'))
    await committed(store, put(`${prefix}a`, '2'))
    const compacted = await committed(store, remove(`${prefix}a`))
    await fixture.compact(compacted)
    await assert.rejects(eventsUntil(store.watch(prefix, old, abort.signal), Infinity), failsWith('Expired'))
    await assert.rejects(eventsUntil(store.watch(prefix, compacted - 1, abort.signal), Infinity), failsWith('Expired'))
    const next = await committed(store, put(`${prefix}a`, '3'))
    assert.deepEqual(await eventsUntil(store.watch(prefix, compacted, abort.signal), next), [
      `${next} put ${prefix}a=3`,
    ])
  })

  it('keeps keys of a lease while it is kept, and deletes them when it ends', async () => {
    const leaseId = await store.grantLease(60)
    const other = await store.grantLease(60)
    const start = await committed(
      store,
      { ...put(`${prefix}a`, '1'), leaseId } as Operation,
      { ...put(`${prefix}b`, '1'), leaseId } as Operation,
    )
    await committed(store, { ...put(`${prefix}b`, '2'), leaseId: other } as Operation)
    assert.equal(await store.keepLease(leaseId), true)
    await store.revokeLease(leaseId)
    assert.equal(await store.get(`${prefix}a`), undefined)
    assert.equal(text(await store.get(`${prefix}b`)), '2')
    assert.equal(await store.keepLease(leaseId), false)
    await store.revokeLease(leaseId)
    const events = await eventsUntil(store.watch(prefix, start, abort.signal), await store.revision())
    assert.deepEqual(
      events.map((event) => event.slice(event.indexOf(' ') + 1)),
      [`put ${prefix}b=2`, `delete ${prefix}a=`],
    )
    await assert.rejects(store.commit([{ ...put(`${prefix}c`, '1'), leaseId } as Operation]), failsWith('NotFound'))
    await store.revokeLease(other)
  })

  it('ends a lease that nobody keeps', async () => {
    const start = await store.revision()
    const leaseId = await store.grantLease(2)
    await committed(store, { ...put(`${prefix}a`, '1'), leaseId } as Operation)
    const gone = (async () => {
      for await (const { events } of store.watch(prefix, start, abort.signal))
        if (events.some(({ type }) => type === 'delete')) return
    })()
    await fixture.expireLeases(2)
    await gone
    assert.equal(await store.keepLease(leaseId), false)
  })
}
