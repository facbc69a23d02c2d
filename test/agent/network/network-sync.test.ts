/** The view of the network, the parts that follow it, and what is confirmed. */
import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkChange, NetworkReconciler, NetworkView, NodeRanges } from '../../../agent/network/contract.ts'
import { NetworkSync } from '../../../agent/network/network-sync.ts'
import { ViewFile } from '../../../agent/network/view-file.ts'
import { encode } from '../../../proto/codec/wire.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger, type Logger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { NetworkEntry, NetworkUpdate } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'

const RANGES: NodeRanges = {
  podCidrs: ['10.244.1.0/24'],
  cluster: { podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
}

function service(name: string, resourceVersion: string): NetworkEntry {
  return {
    key: `Service/default/${name}`,
    entry: {
      case: 'object',
      value: {
        apiVersion: 'v1',
        kind: 'Service',
        raw: encode('Service', {
          metadata: { name, namespace: 'default', uid: name, resourceVersion },
          spec: { ports: [{ port: 80 }] },
        }),
      },
    },
  }
}

function peer(name: string, address: string, labels: Record<string, string> = {}): NetworkEntry {
  return {
    key: `PeerNode/${name}`,
    entry: { case: 'peer', value: { name, addresses: [address], podCidrs: [], labels, present: true } },
  }
}

function update(revision: number, set: NetworkEntry[], rest: Partial<NetworkUpdate> = {}): NetworkUpdate {
  return { complete: false, sequence: 1, revision, set, removed: [], more: false, ...rest }
}

/** A part that a test holds back, or makes fail. */
class ScriptedPart implements NetworkReconciler {
  readonly calls: { complete: boolean; keys: string[]; services: string[] }[] = []
  stopped = false
  failing = false
  #held: (() => void) | undefined
  #holds = false

  readonly name: string
  readonly confirmsRevision: boolean

  constructor(name: string, confirms: boolean) {
    this.name = name
    this.confirmsRevision = confirms
  }

  hold(): void {
    this.#holds = true
  }

  go(): void {
    this.#holds = false
    this.#held?.()
  }

  async apply(view: NetworkView, { complete, keys }: NetworkChange): Promise<void> {
    this.calls.push({ complete, keys: [...keys].sort(), services: [...view.objects('Service').keys()].sort() })
    if (this.failing) throw new Error('no')
    if (this.#holds) await new Promise<void>((resolve) => (this.#held = resolve))
  }

  stop(): Promise<void> {
    this.stopped = true
    return Promise.resolve()
  }
}

describe('following the network', () => {
  let directory: string
  let clock: FakeClock
  let applied: number[]
  let kernel: ScriptedPart
  let names: ScriptedPart
  let sync: NetworkSync

  const make = async (): Promise<NetworkSync> => {
    applied = []
    kernel = new ScriptedPart('kernel', true)
    names = new ScriptedPart('names', false)
    const made = new NetworkSync({
      kept: new ViewFile(directory, silentLogger),
      parts: [kernel, names],
      applied: (revision) => void applied.push(revision),
      clock,
      random: seededRandom(1),
      logger: silentLogger,
    })
    await made.load()
    made.start()
    return made
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-view-'))
    clock = new FakeClock()
    sync = await make()
  })

  afterEach(async () => {
    kernel.go()
    await sync.stop()
    await rm(directory, { recursive: true })
  })

  it('gives parts everything at first and then what differs, and confirms', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3'), service('b', '4')], { complete: true, more: true }))
    assert.deepEqual(kernel.calls, [])
    sync.update(update(5, [peer('n1', '10.0.0.1')]))
    await sync.settled()
    const all = ['PeerNode/n1', 'Service/default/a', 'Service/default/b']
    assert.deepEqual(kernel.calls, [{ complete: true, keys: all, services: ['default/a', 'default/b'] }])
    assert.equal(applied.at(-1), 5)
    sync.update(update(7, [service('a', '7'), service('b', '4'), peer('n1', '10.0.0.1')], { removed: [] }))
    await sync.settled()
    assert.deepEqual(kernel.calls.at(-1), {
      complete: false,
      keys: ['Service/default/a'],
      services: ['default/a', 'default/b'],
    })
    sync.update(update(8, [], { removed: ['Service/default/b'] }))
    await sync.settled()
    assert.deepEqual(names.calls.at(-1), { complete: false, keys: ['Service/default/b'], services: ['default/a'] })
    assert.equal(applied.at(-1), 8)
    assert.equal(sync.view.entries('peer').get('PeerNode/n1')?.addresses[0], '10.0.0.1')
    assert.equal(sync.view.objects('Service').get('default/a')?.metadata.resourceVersion, '7')
  })

  it('takes a complete update of a later session for what differs, what is not in it for removed, and confirms it', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3'), service('b', '4')], { complete: true }))
    await sync.settled()
    await sync.welcome(RANGES)
    sync.update(update(9, [service('b', '4'), service('c', '9')], { complete: true }))
    await sync.settled()
    assert.deepEqual(kernel.calls.at(-1), {
      complete: false,
      keys: ['Service/default/a', 'Service/default/c'],
      services: ['default/b', 'default/c'],
    })
    await sync.welcome(RANGES)
    const before = kernel.calls.length
    applied.length = 0
    sync.update(update(12, [service('b', '4'), service('c', '9')], { complete: true }))
    await sync.settled()
    assert.equal(kernel.calls.length, before)
    assert.equal(applied.at(-1), 12)
  })

  it('merges what comes while a part is at work, and confirms only what every confirming part follows', async () => {
    await sync.welcome(RANGES)
    kernel.hold()
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await eventually(() => kernel.calls.length === 1 && names.calls.length === 1)
    sync.update(update(6, [service('b', '6')]))
    sync.update(update(7, [service('c', '7')]))
    await eventually(() => names.calls.at(-1)!.services.length === 3)
    assert.ok(!applied.some((revision) => revision > 0))
    kernel.go()
    await sync.settled()
    assert.deepEqual(kernel.calls.slice(1), [
      {
        complete: false,
        keys: ['Service/default/b', 'Service/default/c'],
        services: ['default/a', 'default/b', 'default/c'],
      },
    ])
    assert.equal(applied.at(-1), 7)
  })

  it('calls a part that failed again with everything, after a pause or with the next change', async () => {
    await sync.welcome(RANGES)
    kernel.failing = true
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.settled()
    assert.deepEqual([...sync.failing], [['kernel', 1]])
    assert.ok(!applied.some((revision) => revision >= 5))
    sync.update(update(6, [service('b', '6')]))
    await sync.settled()
    assert.equal(sync.failing.get('kernel'), 2)
    kernel.failing = false
    await clock.advance(1_000)
    await sync.settled()
    assert.deepEqual(kernel.calls.at(-1), {
      complete: true,
      keys: ['Service/default/a', 'Service/default/b'],
      services: ['default/a', 'default/b'],
    })
    assert.equal(sync.failing.size, 0)
    assert.equal(applied.at(-1), 6)
  })

  it('gives everything again when the ranges are others', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.settled()
    await sync.welcome({ ...RANGES, podCidrs: ['10.244.9.0/24'] })
    await sync.settled()
    assert.equal(kernel.calls.at(-1)!.complete, true)
    assert.deepEqual(sync.view.ranges.podCidrs, ['10.244.9.0/24'])
  })

  it('knows what the run before knew, also when that was stopped while it wrote', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3'), peer('n1', '10.0.0.1')], { complete: true }))
    sync.update(update(6, [service('b', '6')], { removed: ['PeerNode/n1'] }))
    await sync.stop()
    await appendFile(join(directory, 'view'), Buffer.from([0, 0, 1, 0, 7]))
    sync = await make()
    await sync.settled()
    assert.deepEqual(kernel.calls, [
      { complete: true, keys: ['Service/default/a', 'Service/default/b'], services: ['default/a', 'default/b'] },
    ])
    assert.deepEqual(sync.view.ranges, RANGES)
    assert.equal(sync.view.revision, 6)
    sync.update(update(8, [service('c', '8')]))
    await sync.stop()
    sync = await make()
    assert.deepEqual([...sync.view.objects('Service').keys()], ['default/a', 'default/b', 'default/c'])
  })

  it('forgets for the next run, too, what a complete update of a later session does not have', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3'), service('b', '4'), peer('n1', '10.0.0.1')], { complete: true }))
    await sync.welcome(RANGES)
    sync.update(update(9, [service('b', '4')], { complete: true, more: true }))
    sync.update(update(9, [service('c', '9')]))
    await sync.stop()
    sync = await make()
    assert.deepEqual([...sync.view.objects('Service').keys()], ['default/b', 'default/c'])
    assert.equal(sync.view.entries('peer').size, 0)
  })

  it('writes everything anew after it could not write', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.settled()
    await rename(join(directory, 'view'), join(directory, 'aside'))
    await mkdir(join(directory, 'view'))
    sync.update(update(6, [service('b', '6')]))
    await sync.settled()
    await rm(join(directory, 'view'), { recursive: true })
    sync.update(update(7, [service('c', '7')]))
    await sync.stop()
    sync = await make()
    assert.deepEqual([...sync.view.objects('Service').keys()], ['default/a', 'default/b', 'default/c'])
  })

  it('begins with nothing when its view is not one, and knows again what it is told then', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.stop()
    await appendFile(join(directory, 'view'), Buffer.from([0, 0, 0, 2, 0xff, 0xff]))
    sync = await make()
    assert.equal(kernel.calls.length, 0)
    await sync.welcome(RANGES)
    sync.update(update(6, [service('b', '6')], { complete: true }))
    await sync.stop()
    sync = await make()
    assert.deepEqual([...sync.view.objects('Service').keys()], ['default/b'])
  })

  it('lets nobody act on what it has loaded before it is started', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.stop()
    sync = new NetworkSync({
      kept: new ViewFile(directory, silentLogger),
      parts: [(kernel = new ScriptedPart('kernel', true))],
      applied: () => undefined,
      clock,
      random: seededRandom(1),
      logger: silentLogger,
    })
    await sync.load()
    assert.ok(sync.view.objects('Service').has('default/a'))
    await sync.settled()
    assert.deepEqual(kernel.calls, [])
    sync.start()
    await sync.settled()
    assert.equal(kernel.calls.length, 1)
  })

  it('leaves out what is not of its form, tells of it, and takes up the rest', async () => {
    const warnings: unknown[] = []
    const logger = { ...silentLogger, warn: (about: unknown) => void warnings.push(about) } as Logger
    sync = new NetworkSync({
      kept: new ViewFile(directory, silentLogger),
      parts: [(kernel = new ScriptedPart('kernel', true))],
      applied: () => undefined,
      clock,
      random: seededRandom(1),
      logger,
    })
    await sync.welcome(RANGES)
    sync.update(update(5, [peer('bad', '10.9.9.9\nnetns add held'), peer('n1', '10.0.0.1')], { complete: true }))
    await sync.settled()
    assert.deepEqual(
      [...sync.view.entries('peer').values()].map(({ name, addresses }) => [name, addresses]),
      [
        ['bad', []],
        ['n1', ['10.0.0.1']],
      ],
    )
    assert.deepEqual(warnings, [{ key: 'PeerNode/bad', leftOut: 'node bad: address "10.9.9.9\\nnetns add held"' }])
    await assert.rejects(
      sync.welcome({ ...RANGES, cluster: { ...RANGES.cluster, domain: 'cluster.local\nnameserver 192.0.2.1' } }),
      { code: 'InvalidArgument' },
    )
    await assert.rejects(sync.welcome({ ...RANGES, podCidrs: ['10.244.1.0/24; flush ruleset'] }), {
      code: 'InvalidArgument',
    })
  })

  it('writes its file anew when changes have made it large, with the same content', async () => {
    await sync.welcome(RANGES)
    sync.update(update(1, [service('a', '1')], { complete: true }))
    const big = 'x'.repeat(200_000)
    for (let revision = 2; revision < 40; revision++)
      sync.update(update(revision, [peer(`n${revision % 3}`, '10.0.0.1', { big: big + revision })]))
    await sync.settled()
    assert.ok((await readFile(join(directory, 'view'))).length < 6_000_000)
    await sync.stop()
    sync = await make()
    assert.deepEqual(
      [...sync.view.entries('peer').values()].map(({ labels }) => labels.big!.slice(big.length)).sort(),
      ['37', '38', '39'],
    )
    assert.equal(sync.view.revision, 39)
  })

  it('begins with nothing when its files cannot be read', async () => {
    await sync.welcome(RANGES)
    sync.update(update(5, [service('a', '3')], { complete: true }))
    await sync.stop()
    await rm(join(directory, 'ranges.json'))
    await appendFile(join(directory, 'ranges.json'), '{')
    sync = await make()
    assert.equal(kernel.calls.length, 0)
    await sync.welcome(RANGES)
    sync.update(update(6, [service('a', '3')], { complete: true }))
    await sync.settled()
    assert.equal(applied.at(-1), 6)
    assert.deepEqual(kernel.calls.at(-1)?.services, ['default/a'])
  })
})
