/**
 * What policies cost: what a pod's change costs the controller among very many, what it costs a node, and what a guard
 * costs its packets.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launcher } from '../../../agent/host/launcher.ts'
import { PolicyGuard } from '../../../agent/network/policy/policy-guard.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import { TwoNodes, type Peer } from '../../agent/network/policy/two-nodes.ts'
import { namespaceOf, podOf, policyOf, PolicyWorld } from '../../controller/dispatch/network/policy-fixture.ts'
import { median, type Figure } from '../figures.ts'

const POLICIES = 1000
const PODS = 10_000
const NODES = 100
const NAMESPACES = 50
const CHANGES = 300

const place = (index: number): string => `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
const pod = (index: number, labels = { app: `app${index % 200}`, tier: `tier${index % 3}` }) =>
  podOf(`pod${index}`, {
    namespace: `ns${index % NAMESPACES}`,
    labels,
    node: index === 0 ? 'a' : `node${index % NODES}`,
    addresses: [place(index)],
    ports: [{ name: 'http', containerPort: 8080 + (index % 2) }],
  })

/**
 * Policies of each namespace for its apps: from another app of the namespace, from a tier anywhere, by name of port,
 * outwards to blocks.
 */
function* largeWorld(): Generator<AnyResource, void, undefined> {
  for (let index = 0; index < NAMESPACES; index++) yield namespaceOf(`ns${index}`, { team: `team${index % 5}` })
  for (let index = 0; index < PODS; index++) yield pod(index)
  for (let index = 0; index < POLICIES; index++) {
    yield policyOf(
      `policy${index}`,
      {
        podSelector: { matchLabels: { app: `app${index % 200}` } },
        ingress: [
          {
            from: [
              { podSelector: { matchLabels: { app: `app${(index * 7) % 200}` } } },
              {
                namespaceSelector: { matchLabels: { team: `team${index % 5}` } },
                podSelector: { matchLabels: { tier: `tier${index % 3}` } },
              },
            ],
            ports: [{ port: 'http' }, { port: 9000 }],
          },
        ],
        ...(index % 4 === 0 ? { egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }] }] } : {}),
      } as never,
      `ns${index % NAMESPACES}`,
    )
  }
}

/** `node0`…: all of them have sessions. */
function controllerFigures(): Figure[] {
  const objects = [...largeWorld()]
  const began = performance.now()
  const world = new PolicyWorld(objects)
  const load = performance.now() - began
  for (let index = 0; index < NODES; index++) world.node(`node${index}`)
  const news: number[] = []
  const changes: number[] = []
  for (let round = 0; round < CHANGES; round++) {
    const index = 1 + ((round * 37) % (PODS - 1))
    const object = pod(index)
    let from = performance.now()
    world.put({ ...object, status: { ...object.status, message: `round ${round}` } })
    world.flush()
    news.push(performance.now() - from)
    from = performance.now()
    world.put(pod(index, { app: `app${round % 200}`, tier: `tier${round % 3}` }))
    world.flush()
    changes.push(performance.now() - from)
  }
  const note = `${POLICIES} policies, ${PODS} pods, ${NODES} nodes`
  return [
    { name: 'controller: all at once', unit: 'ms', samples: [load], note },
    { name: 'controller: news of a pod', unit: 'ms', samples: news, note: 'nothing that policies look at' },
    { name: 'controller: labels of a pod change', unit: 'ms', samples: changes, note: 'until every node is told' },
  ]
}

/** Milliseconds from the call until the kernel has it. */
async function nodeFigures(nodes: TwoNodes, launcher: Launcher): Promise<Figure[]> {
  const guard = new PolicyGuard({ run: launcher.run, netns: nodes.netns('a') })
  const peers = Array.from({ length: PODS }, (_, index) =>
    podOf(`peer${index}`, { labels: { app: 'client' }, node: 'far', addresses: [place(index)] }),
  )
  const world = new PolicyWorld([
    namespaceOf('default'),
    podOf('web', { labels: { app: 'web' }, addresses: ['10.9.1.2'] }),
    ...peers,
    policyOf('web', {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
    } as never),
  ])
  const { view } = world.node('a')
  const timed = async (work: () => Promise<void>): Promise<number> => {
    const began = performance.now()
    await work()
    return performance.now() - began
  }
  const whole: number[] = []
  for (let round = 0; round < 5; round++)
    whole.push(await timed(() => guard.apply(view, { complete: true, keys: new Set() })))
  const single: number[] = []
  const start: number[] = []
  for (let round = 0; round < CHANGES; round++) {
    world.put(podOf(`late${round}`, { labels: { app: 'client' }, node: 'far', addresses: [place(PODS + round)] }))
    world.flush()
    single.push(await timed(() => guard.apply(view, { complete: false, keys: world.node('a').keys })))
    start.push(
      await timed(() =>
        guard.protect(`uid-default-free${round}`, [`10.9.3.${round % 250}`], new AbortController().signal),
      ),
    )
  }
  const note = `a set of ${PODS} addresses`
  return [
    { name: 'node: the whole table', unit: 'ms', samples: whole, note },
    { name: 'node: one pod enters a set', unit: 'ms', samples: single, goal: { p99: 50 }, note },
    {
      name: 'node: start of a pod without policies',
      unit: 'ms',
      samples: start,
      goal: { atMost: 1 },
      note: 'nothing to be done',
    },
  ]
}

/** Connections a second between two pods of a node, with and without guards of both directions. */
async function packetFigures(nodes: TwoNodes): Promise<Figure[]> {
  const web: Peer = await nodes.pod({ node: 'a', addresses: ['10.9.1.2', 'fd00:9:1::2'] }, { tcp: [80], udp: [80] })
  const client: Peer = await nodes.pod({ node: 'a', addresses: ['10.9.1.3', 'fd00:9:1::3'] }, { tcp: [], udp: [] })
  const guard = new PolicyGuard({ run, netns: nodes.netns('a') })
  const others = Array.from({ length: 200 }, (_, index) =>
    policyOf(`policy${index}`, {
      podSelector: { matchLabels: { app: `app${index}` } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'client' } } }] }],
    } as never),
  )
  const pods = Array.from({ length: 200 }, (_, index) =>
    podOf(`pod${index}`, { labels: { app: `app${index}` }, addresses: [`10.9.1.${index + 10}`] }),
  )
  const own = policyOf('own', {
    egress: [{ to: [{ podSelector: {} }] }],
    ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
    policyTypes: ['Ingress', 'Egress'],
  } as never)
  const guarded = new PolicyWorld([
    namespaceOf('default'),
    podOf('web', { labels: { app: 'web' }, addresses: web.addresses }),
    podOf('client', { labels: { app: 'client' }, addresses: client.addresses }),
    ...pods,
    ...others,
    own,
  ])
  const open = new PolicyWorld()
  const samples: Record<'open' | 'guarded', number[]> = { open: [], guarded: [] }
  for (let round = 0; round < 21; round++)
    for (const [name, world] of [
      ['open', open],
      ['guarded', guarded],
    ] as const) {
      await guard.apply(world.node('a').view, { complete: true, keys: new Set() })
      const rate = await client.ask<number>('rate', { address: web.addresses[0], port: 80, millis: 250 })
      if (round > 0) samples[name].push(rate)
    }
  return [
    { name: 'connections between pods, open', unit: '/s', samples: samples.open, note: 'TCP, one after another' },
    {
      name: 'connections between pods, guarded',
      unit: '/s',
      samples: samples.guarded,
      floor: { name: 'open', value: median(samples.open) },
      goal: { atLeast: 0.95 * median(samples.open) },
      note: '201 policies, 202 pods on the node',
    },
  ]
}

export async function policyFigures(): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-policies-'))
  const launcher = new Launcher(directory, systemClock)
  const nodes = await TwoNodes.make()
  try {
    return [...controllerFigures(), ...(await nodeFigures(nodes, launcher)), ...(await packetFigures(nodes))]
  } finally {
    await nodes.remove()
    launcher.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
