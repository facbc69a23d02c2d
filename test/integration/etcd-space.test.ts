import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IAlarmRequest, IStatusResponse } from 'etcd3'
import { EtcdConnection } from '../../controller/store/etcd-connection.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { EmbeddedEtcd } from '../../controller/supervise/etcd.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { FakeClock, systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { until } from '../eventually.ts'

const QUOTA = 32 * 1024 * 1024

describe('space of the embedded etcd', function () {
  this.timeout(120_000)
  let dir: string
  let group: RunGroup
  /** Of the member and of who looks after it; the tests say when time passes. */
  const clock = new FakeClock()

  const start = async (): Promise<EmbeddedEtcd> => {
    group = new RunGroup()
    const etcd = await EmbeddedEtcd.prepare({
      clock,
      random: systemRandom,
      logger: silentLogger,
      dataDir: dir,
      quota: QUOTA,
    })
    group.add((signal) => etcd.run(signal))
    await until('it answers', async () => {
      await clock.advance(5)
      return etcd.state.state === 'ready'
    })
    return etcd
  }

  /** While it refuses a write, time passes; how often it has. */
  async function put(store: EtcdStore, key: string, value: Buffer): Promise<number> {
    let refused = 0
    await until(
      'the store takes a write',
      async () => {
        try {
          return (await store.commit([{ kind: 'put', key, value, expect: { is: 'any' } }])).outcome === 'committed'
        } catch (thrown) {
          if (!GantryError.is(thrown, 'Unavailable')) throw thrown
          refused++
          await clock.advance(250)
          return false
        }
      },
      60_000,
    )
    return refused
  }

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gantry-space-'))
  })

  afterEach(async () => {
    group.stop()
    await group.wait()
    await rm(dir, { recursive: true, force: true })
  })

  it('is made again, however much is written over what was there', async () => {
    const etcd = await start()
    const store = new EtcdStore({ endpoints: [etcd.address], clock: systemClock }, systemRandom)
    const value = Buffer.alloc(1_400_000)
    let refused = 0
    for (let written = 0; written < 3 * QUOTA; written += value.length)
      refused += await put(store, '/gantry/core/configmaps/default/big', value)
    assert.ok(refused > 0, 'the quota was never reached: this has shown nothing')
    await store.close()
  })

  it('is looked after by a controller that begins with a full database', async () => {
    let etcd = await start()
    const raise = new EtcdConnection({ endpoints: [etcd.address], clock: systemClock })
    const { header } = await raise.call<IStatusResponse>('Maintenance', 'status', {}, 'read')
    await raise.call(
      'Maintenance',
      'alarm',
      { action: 'Activate', memberID: header.member_id, alarm: 'Nospace' } satisfies IAlarmRequest,
      'write',
    )
    raise.close()
    group.stop()
    await group.wait()
    etcd = await start()
    const store = new EtcdStore({ endpoints: [etcd.address], clock: systemClock }, systemRandom)
    await put(store, '/gantry/a', Buffer.from('a'))
    await store.close()
  })
})
