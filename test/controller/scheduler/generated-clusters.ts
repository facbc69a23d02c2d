/** Clusters, pods and what happens to them, as fast-check makes them up. */
import fc from 'fast-check'
import type { Node, Taint, Toleration, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import { node, type PodOptions } from './cluster.ts'

export const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'
const INGRESS = 'gantry.dev/entrance'

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 })

/** A value of each of some fields; most often few of them are given, so that what is made of it differs in little. */
const changed = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc
    .subarray(Object.keys(fields) as (keyof T & string)[], { minLength: 1, maxLength: 2 })
    .chain((names) =>
      fc.record(Object.fromEntries(names.map((name) => [name, fields[name]])) as Record<string, fc.Arbitrary<unknown>>),
    ) as fc.Arbitrary<Partial<T>>

export interface NodeTraits {
  cpu: string
  memory: string
  pods: string
  zone: string | undefined
  disk: string | undefined
  entrance: boolean
  taints: Taint[]
  unschedulable: true | undefined
  ready: 'True' | 'False' | 'Unknown'
  reason: string | undefined
}

const nodeTraits: { [K in keyof NodeTraits]: fc.Arbitrary<NodeTraits[K]> } = {
  cpu: fc.constantFrom('1', '2', '4', '4'),
  memory: fc.constantFrom('1Gi', '4Gi'),
  pods: fc.constantFrom('1', '3', '110', '110'),
  zone: optional(fc.constantFrom('a', 'b', 'c')),
  disk: optional(fc.constantFrom('ssd', 'hdd')),
  entrance: fc.constantFrom(true, false, false),
  taints: fc.subarray<Taint>(
    [
      { key: 'dedicated', value: 'db', effect: 'NoSchedule' },
      { key: 'old', effect: 'PreferNoSchedule' },
    ],
    { maxLength: 1 },
  ),
  unschedulable: fc.constantFrom(undefined, undefined, undefined, true as const),
  ready: fc.constantFrom('True', 'True', 'True', 'False', 'Unknown'),
  reason: optional(fc.constantFrom('NodeSuspect', 'NodeLost', 'Starting')),
}

export function nodeOf(name: string, { zone, disk, entrance, reason, ...options }: NodeTraits): Node {
  const labels = {
    ...(zone !== undefined && { [ZONE]: zone }),
    ...(disk !== undefined && { disk }),
    ...(entrance && { [INGRESS]: 'true' }),
  }
  return node(name, { ...options, labels, ...(options.ready !== 'True' && reason !== undefined && { reason }) })
}

const constraint: fc.Arbitrary<TopologySpreadConstraint> = fc.record({
  maxSkew: fc.integer({ min: 1, max: 2 }),
  topologyKey: fc.constantFrom(ZONE, HOST, 'disk'),
  whenUnsatisfiable: fc.constantFrom('DoNotSchedule' as const, 'ScheduleAnyway' as const),
  labelSelector: optional(fc.constantFrom({}, { matchLabels: { app: 'web' } }, { matchLabels: { app: 'db' } })),
  minDomains: optional(fc.integer({ min: 1, max: 3 })),
  nodeAffinityPolicy: optional(fc.constantFrom('Honor' as const, 'Ignore' as const)),
  nodeTaintsPolicy: optional(fc.constantFrom('Honor' as const, 'Ignore' as const)),
  matchLabelKeys: optional(fc.constant(['version'])),
})

interface PodTraits {
  cpu: string | undefined
  memory: string | undefined
  owner: string | undefined
  app: string
  version: string | undefined
  nodeSelector: Record<string, string> | undefined
  tolerations: Toleration[] | undefined
  hostPort: number
  constraints: TopologySpreadConstraint[]
}

const podTraits: { [K in keyof PodTraits]: fc.Arbitrary<PodTraits[K]> } = {
  cpu: optional(fc.constantFrom('100m', '500m', '2')),
  memory: optional(fc.constantFrom('100Mi', '1Gi')),
  owner: optional(fc.constantFrom('rs-1', 'rs-2')),
  app: fc.constantFrom('web', 'db'),
  version: optional(fc.constantFrom('1', '2')),
  nodeSelector: optional(fc.constantFrom<Record<string, string>>({ disk: 'ssd' }, { [ZONE]: 'a' }, {})),
  tolerations: optional(
    fc.subarray<Toleration>([
      { key: 'dedicated', operator: 'Exists' },
      { key: 'old', operator: 'Exists', effect: 'PreferNoSchedule' },
      { key: 'node.kubernetes.io/unschedulable', operator: 'Exists' },
    ]),
  ),
  hostPort: fc.constantFrom(0, 0, 0, 80, 8080),
  constraints: fc.oneof(
    { weight: 2, arbitrary: fc.constant<TopologySpreadConstraint[]>([]) },
    { weight: 1, arbitrary: fc.array(constraint, { minLength: 1, maxLength: 2 }) },
  ),
}

function optionsOf(traits: PodTraits): PodOptions {
  const { cpu, memory, owner, app, version, nodeSelector, tolerations, hostPort, constraints } = traits
  const requests = { ...(cpu !== undefined && { cpu }), ...(memory !== undefined && { memory }) }
  const ports = hostPort === 0 ? [] : [{ containerPort: 80, hostPort, protocol: 'TCP' }]
  return {
    owner,
    labels: { app, ...(version !== undefined && { version }) },
    spec: {
      containers: [{ name: 'main', image: 'busybox', resources: { requests }, ports }],
      nodeSelector,
      tolerations,
      topologySpreadConstraints: constraints.length === 0 ? undefined : constraints,
    } as unknown as PodOptions['spec'],
  }
}

/** Templates of pods, which differ from the first in little. */
function templatesOf(traits: typeof podTraits): fc.Arbitrary<PodOptions[]> {
  return fc
    .tuple(fc.record(traits), fc.array(changed<PodTraits>(traits), { maxLength: 3 }))
    .map(([first, others]) => [first, ...others.map((other) => ({ ...first, ...other }))].map(optionsOf))
}

const becomes = fc.constantFrom(
  'bound',
  'not bound',
  'resized',
  'deleting',
  'deleting',
  'ended',
  'gone',
  'moved',
  'relabelled',
  'relabelled',
)
const selector = fc.constantFrom({}, { app: 'web' }, { app: 'db' }, { version: '1' })
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant('place' as const),
      template: fc.nat(),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('new node' as const), traits: fc.record(nodeTraits) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('change node' as const),
      index: fc.nat(),
      traits: changed<NodeTraits>(nodeTraits),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('beat' as const), index: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('node gone' as const), index: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('pod' as const), index: fc.nat(), becomes }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('lost pod' as const), template: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('service' as const), name: fc.constantFrom('s1', 's2'), selector }),
  },
)
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

export interface Scenario {
  readonly nodes: readonly NodeTraits[]
  readonly templates: readonly PodOptions[]
  readonly steps: readonly Step[]
  readonly seed: number
}

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  nodes: fc
    .oneof(
      { weight: 5, arbitrary: fc.integer({ min: 0, max: 8 }) },
      { weight: 1, arbitrary: fc.integer({ min: 60, max: 80 }) },
    )
    .chain((count) => fc.array(fc.record(nodeTraits), { minLength: count, maxLength: count })),
  templates: templatesOf(podTraits),
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
  seed: fc.nat(),
})

/** Pods with constraints of their own, of which much has to be told apart. */
export const spreadScenario: fc.Arbitrary<Scenario> = fc.record({
  nodes: fc.array(fc.record({ ...nodeTraits, ready: fc.constant('True' as const) }), { minLength: 2, maxLength: 8 }),
  templates: templatesOf({
    ...podTraits,
    cpu: fc.constant('100m'),
    memory: fc.constant(undefined),
    hostPort: fc.constant(0),
    constraints: fc.array(constraint, { minLength: 1, maxLength: 2 }),
  }),
  steps: fc.array(step, { minLength: 4, maxLength: 20 }),
  seed: fc.nat(),
})
