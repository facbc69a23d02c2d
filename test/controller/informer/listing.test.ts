import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { CachedObject } from '../../../controller/informer/contract.ts'
import { newestCommit, readAll } from '../../../controller/informer/listing.ts'
import type { Entry, Operation, Store } from '../../../controller/store/contract.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import { committed, failsWith, put, remove } from '../../contract/store.ts'

const key = (name: string): string => objectKey('ConfigMap', 'default', name)
/** Names of which some begin with others. */
const NAMES = ['a', 'a-1', 'a-10', 'b', 'b0', 'c']

function cachedOf({ key: at, value, revision }: Entry): CachedObject {
  return {
    object: { kind: 'ConfigMap', metadata: { name: at, namespace: '', resourceVersion: '' } } as AnyResource,
    bytes: value,
    revision,
  }
}

/** Counts the entries that were read. */
function counting(store: Store): { store: Store; read: () => number } {
  let read = 0
  const list: Store['list'] = async (...inputs) => {
    const page = await store.list(...inputs)
    read += page.entries.length
    return page
  }
  return {
    store: new Proxy(store, { get: (target, name) => (name === 'list' ? list : Reflect.get(target, name)) as unknown }),
    read: () => read,
  }
}

describe('lists of the store', () => {
  it('tell what the newest commit made, changed and deleted, and read no more than that needs', () =>
    fc.assert(
      fc.asyncProperty(
        fc.subarray(NAMES),
        fc.dictionary(fc.constantFrom(...NAMES), fc.boolean(), { minKeys: 1 }),
        fc.boolean(),
        async (first, last, isElsewhere) => {
          const store = new MemoryStore(new FakeClock())
          if (first.length > 0) await committed(store, ...first.map((name) => put(key(name), `first ${name}`)))
          const operations: Operation[] = Object.entries(last).flatMap(([name, isPut]) =>
            isPut ? [put(key(name), `last ${name}`)] : first.includes(name) ? [remove(key(name))] : [],
          )
          if (operations.length === 0) return
          let revision = await committed(store, ...operations)
          if (isElsewhere) revision = await committed(store, put('/gantry-election/leader', 'somebody'))
          const { entries } = await readAll(store)
          const counted = counting(store)
          const changes = await newestCommit(counted.store, entries, revision, cachedOf)
          const text = ({ bytes }: { bytes: Uint8Array }): string => Buffer.from(bytes).toString()
          const told = changes.map(({ type, cached, previous, revision: at }) =>
            [
              cached.object.metadata.name,
              type,
              at,
              type === 'deleted' || text(cached),
              previous && text(previous),
            ].join(),
          )
          const expected = isElsewhere
            ? []
            : operations.map(({ kind, key: at }) => {
                const name = NAMES.find((one) => key(one) === at)!
                const before = first.includes(name) ? `first ${name}` : undefined
                return kind === 'put'
                  ? [at, before === undefined ? 'added' : 'modified', revision, `last ${name}`, before].join()
                  : [at, 'deleted', revision, true, before].join()
              })
          assert.deepEqual(told.sort(), expected.sort())
          const isDeletion = !isElsewhere && operations.some(({ kind }) => kind === 'delete')
          if (!isDeletion) assert.ok(counted.read() <= 1 + operations.length, String(counted.read()))
        },
      ),
    ))

  it('ask for the next page before a page is looked at', async () => {
    const store = new MemoryStore(new FakeClock())
    const names = Array.from({ length: 1_100 }, (_, index) => `n${String(index).padStart(4, '0')}`)
    for (let from = 0; from < names.length; from += 100)
      await committed(store, ...names.slice(from, from + 100).map((name) => put(key(name), name)))
    const log: string[] = []
    const told = new Proxy(store, {
      get: (target, name) =>
        name === 'list'
          ? (...inputs: Parameters<Store['list']>) => {
              log.push(`after ${inputs[1]?.after?.split('/').at(-1) ?? 'nothing'}`)
              return target.list(...inputs)
            }
          : (Reflect.get(target, name) as unknown),
    })
    const { entries } = await readAll(told, undefined, undefined, (page) => log.push(`${page.length} entries`))
    assert.deepEqual([...entries.keys()], names.map(key))
    assert.deepEqual(log, ['after nothing', 'after n0499', '500 entries', 'after n0999', '500 entries', '100 entries'])
  })

  it('fail as the store does, between two pages too', async () => {
    const list: Store['list'] = (_prefix, options) =>
      options?.after === undefined
        ? Promise.resolve({ entries: [], revision: 7, next: 'a', count: 2 })
        : Promise.reject(new GantryError('Expired', 'compacted'))
    let pages = 0
    await assert.rejects(
      readAll({ list } as Store, undefined, undefined, () => pages++),
      failsWith('Expired'),
    )
    assert.equal(pages, 1)
  })
})
