import assert from 'node:assert/strict'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { EtcdConnection } from '../../controller/store/etcd-connection.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { objectKey } from '../../controller/store/keys.ts'
import type { Operation } from '../../controller/store/contract.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import type { ConfigMap } from '../../proto/gen/types.ts'
import { committed, put } from '../contract/store.ts'
import { TestEtcd } from './store-etcd.ts'

function configMap(name: string, value: string): Operation {
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '' },
    data: { value },
  } as ConfigMap
  return {
    kind: 'put',
    key: objectKey('ConfigMap', 'default', name),
    value: encodeResource(object),
    expect: { is: 'any' },
  }
}

describe('informer on etcd', () => {
  let etcd: TestEtcd
  let store: EtcdStore
  let connection: EtcdConnection
  let informer: StoreInformer
  const end = new AbortController()
  let running: Promise<void>

  const values = (): string[] =>
    informer
      .lister('ConfigMap')
      .list()
      .map(({ metadata, data }) => `${metadata.name}=${data!.value}`)

  before(async () => {
    etcd = await TestEtcd.start()
    const options = { endpoints: [etcd.endpoint], timeout: 10_000, clock: systemClock }
    store = new EtcdStore(options, systemRandom)
    connection = new EtcdConnection(options)
    informer = new StoreInformer({ store, clock: systemClock, random: systemRandom, logger: silentLogger })
    running = informer.run(end.signal)
    await informer.synced()
  })
  after(async () => {
    end.abort()
    await running
    await store.close()
    connection.close()
    await etcd.remove()
  })

  it('follows thousands of writes in common commits, and reaches each revision', async () => {
    const group = new GroupCommit(store)
    const results = await Promise.all(
      Array.from({ length: 2000 }, (_, index) => group.write(configMap(`many-${index}`, '1'))),
    )
    assert.ok(results.every(({ outcome }) => outcome === 'committed'))
    await informer.waitForRevision(await store.revision())
    assert.equal(informer.lister('ConfigMap').list().length, 2000)
    for (let from = 0; from < 2000; from += 100) {
      await committed(
        store,
        ...Array.from({ length: 100 }, (_, index): Operation => ({
          kind: 'delete',
          key: objectKey('ConfigMap', 'default', `many-${from + index}`),
          expect: { is: 'any' },
        })),
      )
    }
    await informer.waitForRevision(await store.revision())
    assert.deepEqual(values(), [])
  })

  it('serves a consistent read though only keys elsewhere changed', async () => {
    await committed(store, put('/gantry-election/leader', 'one'))
    await informer.waitForRevision(await store.revision())
  })

  it('is right again after etcd was killed, written to and compacted', async () => {
    await committed(store, configMap('a', '1'), configMap('b', '1'))
    await etcd.kill()
    await etcd.start()
    await committed(store, configMap('a', '2'), {
      kind: 'delete',
      key: objectKey('ConfigMap', 'default', 'b'),
      expect: { is: 'any' },
    })
    const last = await committed(store, configMap('c', '1'))
    await connection.call('KV', 'compact', { revision: last, physical: true }, 'write')
    await informer.waitForRevision(last, 10_000)
    assert.deepEqual(values(), ['a=2', 'c=1'])
    const next = await committed(store, configMap('d', '1'))
    await informer.waitForRevision(next)
    assert.deepEqual(values(), ['a=2', 'c=1', 'd=1'])
  })
})
