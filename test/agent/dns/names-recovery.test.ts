import assert from 'node:assert/strict'
import { NodeDns, type ResolverHandle } from '../../../agent/dns/node-dns.ts'
import type { ResolverOptions } from '../../../agent/dns/resolver.ts'
import { Resolver } from '../../../agent/dns/resolver.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import type { CommandResult } from '../../../proto/base/command.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { changed, COMPLETE, service, view } from './view.ts'

const WEB = service('shop', 'web', { clusterIP: '10.96.0.7' })

interface Begun {
  readonly options: ResolverOptions
  /** What was told, in words. */
  readonly told: string[]
  fails: boolean
}

function setup(): { clock: FakeClock; begun: Begun[]; programs: string[]; names: NodeDns; refuse: { next: number } } {
  const clock = new FakeClock()
  const begun: Begun[] = []
  const programs: string[] = []
  const refuse = { next: 0 }
  const names = new NodeDns({
    clock,
    logger: silentLogger,
    settings: { upstream: [], resolvConf: '/nowhere', cacheBytes: 1, serveStale: 0 },
    run: (program, args, options): Promise<CommandResult> => {
      programs.push([program, ...args].join(' '))
      return Promise.resolve({
        code: options?.allow?.includes(1) === true && args.includes('show') ? 1 : 0,
        stdout: '',
        stderr: '',
      })
    },
    startResolver: (options): ResolverHandle => {
      const one: Begun = { options, told: [], fails: refuse.next-- > 0 }
      begun.push(one)
      return {
        zone: ({ begin, set, commit }) => {
          if (one.fails) return Promise.reject(new GantryError('Unavailable', 'no'))
          one.told.push(
            [
              ...(begin === undefined ? [] : ['begin']),
              ...set.map(([source, records]) => `${source}: ${records.length}`),
              ...(commit === undefined ? [] : [`commit ${commit}`]),
            ].join(', '),
          )
          return Promise.resolve()
        },
        listen: (endpoints) => {
          one.told.push(`listen ${endpoints.map(({ address }) => address).join(' ')}`)
          return Promise.resolve([])
        },
        stats: () => Promise.reject(new GantryError('Unavailable', 'no')),
        stop: () => Promise.resolve(void one.told.push('stop')),
      }
    },
  })
  return { clock, begun, programs, names, refuse }
}

describe('names, when the resolver ends', () => {
  it('tell a new one everything, and then changes again', async () => {
    const { clock, begun, names } = setup()
    await names.apply(view([WEB], 3), COMPLETE)
    assert.deepEqual(begun[0]!.told, ['begin', 'shop/web: 2', 'commit 3', 'listen 169.254.20.10'])
    await names.apply(view([], 4), changed('Service/shop/web'))
    assert.equal(begun[0]!.told.at(-1), 'shop/web: 0, commit 4')
    begun[0]!.options.ended!(new GantryError('Unavailable', 'gone'))
    await clock.advance(100)
    assert.deepEqual(begun[1]!.told, ['begin', 'commit 4', 'listen 169.254.20.10'])
    await names.apply(view([WEB], 5), changed('Service/shop/web'))
    assert.equal(begun[1]!.told.at(-1), 'shop/web: 2, commit 5')
    await names.stop()
    assert.equal(begun[1]!.told.at(-1), 'stop')
  })

  it('try again with growing pauses, and not any more once stopped', async () => {
    const { clock, begun, names, refuse } = setup()
    await names.apply(view([WEB], 3), COMPLETE)
    refuse.next = 2
    begun[0]!.options.ended!(new GantryError('Unavailable', 'gone'))
    await clock.advance(100)
    assert.equal(begun.length, 2)
    begun[1]!.options.ended!(new GantryError('Unavailable', 'gone'))
    await clock.advance(199)
    assert.equal(begun.length, 2)
    await clock.advance(20_000)
    assert.deepEqual(
      begun.map(({ fails }) => fails),
      [false, true, true],
    )
    begun[2]!.fails = false
    await clock.advance(5000)
    assert.deepEqual(begun[2]!.told, ['begin', 'shop/web: 2', 'commit 3', 'listen 169.254.20.10'])
    begun.at(-1)!.options.ended!(new GantryError('Unavailable', 'gone'))
    const before = begun.length
    await names.stop()
    await clock.advance(20_000)
    assert.deepEqual([begun.length, clock.pending], [before, 0])
  })

  it('are told everything again after a change that failed', async () => {
    const { begun, names } = setup()
    await names.apply(view([WEB], 3), COMPLETE)
    begun[0]!.fails = true
    await assert.rejects(names.apply(view([], 4), changed('Service/shop/web')), { code: 'Unavailable' })
    begun[0]!.fails = false
    await names.apply(view([], 4), changed())
    assert.deepEqual(begun[0]!.told.slice(-3), ['begin', 'commit 4', 'listen 169.254.20.10'])
  })

  it('find the thread gone in what they ask of it', async () => {
    const ended: string[] = []
    const resolver = new Resolver({
      settings: { upstream: [], resolvConf: '/nowhere', cacheBytes: 'x' as never, serveStale: 0 },
      logger: silentLogger,
      ended: ({ code }) => void ended.push(code),
    })
    await assert.rejects(resolver.zone({ set: [], commit: 1 }), /no zone has been begun/)
    await resolver.stop()
    await assert.rejects(resolver.stats(), { code: 'Unavailable' })
    assert.deepEqual(ended, [])
  })
})
