/** Tables of nftables that somebody else removes. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { TableWatch, type TableOwner } from '../../../agent/network/table-watch.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'

const LOOK = 5_000

describe('the watch over tables', () => {
  const clock = new FakeClock()
  let kernel: Set<string>
  let restored: string[]
  /** Called as nft is asked. */
  let asked: () => void

  beforeEach(() => {
    kernel = new Set(['inet gantry_services', 'inet gantry_policy', 'inet somebody'])
    restored = []
    asked = () => undefined
  })

  function part(name: string, tables: () => readonly string[]): TableOwner {
    return { name, tables, restore: () => void restored.push(name) }
  }

  function watchOver(...owners: TableOwner[]): TableWatch {
    return new TableWatch({
      clock,
      logger: silentLogger,
      owners,
      run: (program, args) => {
        assert.deepEqual([program, args], ['nft', ['list', 'tables']])
        asked()
        return Promise.resolve({ code: 0, stdout: [...kernel].map((table) => `table ${table}\n`).join(''), stderr: '' })
      },
    })
  }

  /** Runs until something was to be done `looks` times. */
  async function look(watch: TableWatch, looks = 1): Promise<void> {
    const end = new AbortController()
    const watching = watch.watch(end.signal)
    for (let times = 0; times < looks; times++) {
      await clock.advance(LOOK)
      await setImmediate()
    }
    end.abort()
    await watching
  }

  const services = part('services', () => ['inet gantry_services'])
  const policy = part('policy', () => ['inet gantry_policy'])

  it('does nothing while all are there', async () => {
    await look(
      watchOver(
        services,
        policy,
        part('dns', () => []),
      ),
      3,
    )
    assert.deepEqual(restored, [])
  })

  it('has whoever made one that is gone make it again, and nobody else', async () => {
    const watch = watchOver(services, policy)
    kernel.delete('inet gantry_policy')
    assert.deepEqual(
      (await watch.missing()).map(({ table }) => table),
      ['inet gantry_policy'],
    )
    await look(watch)
    assert.deepEqual(restored, ['policy'])
  })

  it('takes one for missing that was wanted before and after the look only', async () => {
    let wanted = true
    kernel.delete('inet gantry_services')
    const watch = watchOver(part('services', () => (wanted ? ['inet gantry_services'] : [])))
    asked = () => void (wanted = false)
    assert.deepEqual(await watch.missing(), [])
    asked = () => void (wanted = true)
    assert.deepEqual(await watch.missing(), [])
    assert.equal((await watch.missing()).length, 1)
  })

  it('goes on when nft cannot be asked', async () => {
    let fails = 1
    kernel.delete('inet gantry_policy')
    asked = () => {
      if (fails-- > 0) throw new Error('no memory')
    }
    await look(watchOver(policy), 2)
    assert.deepEqual(restored, ['policy'])
  })

  it('ends the agent for a table that its next beginning makes', async () => {
    kernel.delete('inet gantry_guard')
    const watching = watchOver(policy, {
      name: 'pod network',
      tables: () => ['inet gantry_guard'],
      restore: undefined,
    }).watch(new AbortController().signal)
    const ended = assert.rejects(watching, { code: 'FailedPrecondition', message: /removed table inet gantry_guard/ })
    await clock.advance(LOOK)
    await ended
  })
})
