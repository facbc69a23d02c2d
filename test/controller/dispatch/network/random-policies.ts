/** Small worlds of policies, and changes of them, for property tests: few names, so that selectors meet pods. */
import fc from 'fast-check'
import type {
  AnyResource,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicySpec,
} from '../../../../proto/gen/types.ts'
import { namespaceOf, podOf, policyOf } from './policy-fixture.ts'

export const NAMESPACES = ['default', 'shop', 'ops']
export const NODES = ['a', 'b']
export const PORTS = [80, 81, 443, 8080]
const POD_COUNT = 6

const labels = fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('web', 'db', 'x'), { maxKeys: 2 })

const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.uniqueArray(fc.constantFrom('web', 'db', 'x'), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
  }),
)

const selector = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: labels.map((matchLabels) => ({ matchLabels })) },
  {
    weight: 2,
    arbitrary: fc.array(requirement, { minLength: 1, maxLength: 2 }).map((matchExpressions) => ({ matchExpressions })),
  },
) as fc.Arbitrary<LabelSelector>

const namespaceSelector = fc.oneof(
  selector,
  fc
    .constantFrom(...NAMESPACES)
    .map((name): LabelSelector => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })),
)

/** Over the pods' addresses (10.9.N.M, fd00:9:N::M) and those outside (198.51.100.M). */
const block = fc.constantFrom(
  { cidr: '10.9.0.0/16' },
  { cidr: '10.9.1.0/24', except: ['10.9.1.2/32', '10.9.1.0/30'] },
  { cidr: '0.0.0.0/0', except: ['10.9.2.0/24'] },
  { cidr: '198.51.100.0/24' },
  { cidr: '198.51.100.0/24', except: ['198.51.100.128/25'] },
  { cidr: 'fd00:9::/32' },
  { cidr: '::/0', except: ['fd00:9:1::/64'] },
)

const peer = fc.oneof(
  selector.map((podSelector) => ({ podSelector })),
  namespaceSelector.map((each) => ({ namespaceSelector: each })),
  fc.record({ podSelector: selector, namespaceSelector }),
  block.map((ipBlock) => ({ ipBlock })),
) as fc.Arbitrary<NetworkPolicyPeer>

const port = fc.oneof(
  fc.record({ protocol: fc.constantFrom('TCP' as const, 'UDP' as const) }),
  fc.record({
    protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
    port: fc.constantFrom(...PORTS, 'http', 'metrics'),
  }),
  fc.constantFrom(
    { protocol: 'TCP' as const, port: 80, endPort: 90 },
    { protocol: 'UDP' as const, port: 81, endPort: 443 },
    { protocol: 'TCP' as const, port: 85, endPort: 8080 },
  ),
) as fc.Arbitrary<NetworkPolicyPort>

const ports = fc.array(port, { maxLength: 2 })
const peers = fc.array(peer, { maxLength: 2 })

export const randomPolicy: fc.Arbitrary<NetworkPolicy> = fc
  .record({
    name: fc.constantFrom('p1', 'p2', 'p3'),
    namespace: fc.constantFrom(...NAMESPACES),
    spec: fc.record({
      podSelector: selector,
      ingress: fc.option(fc.array(fc.record({ ports, from: peers }), { maxLength: 2 }), { nil: undefined }),
      egress: fc.option(fc.array(fc.record({ ports, to: peers }), { maxLength: 2 }), { nil: undefined }),
      policyTypes: fc.constantFrom([], ['Ingress'], ['Egress'], ['Ingress', 'Egress']),
    }),
  })
  .map(({ name, namespace, spec }) => policyOf(name, spec as unknown as Partial<NetworkPolicySpec>, namespace))

const randomNamespace = fc
  .record({ name: fc.constantFrom(...NAMESPACES), labels })
  .map(({ name, labels: own }) => namespaceOf(name, own))

/** Pods have fixed places and addresses of both families, and whatever else. */
const randomPod = fc
  .record({
    index: fc.nat({ max: POD_COUNT - 1 }),
    labels,
    hostNetwork: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    phase: fc.oneof(
      { weight: 8, arbitrary: fc.constant('Running') },
      { weight: 1, arbitrary: fc.constantFrom('Succeeded', 'Failed') },
    ),
    ports: fc.constantFrom(
      [],
      [{ name: 'http', containerPort: 80 }],
      [
        { name: 'http', containerPort: 8080 },
        { name: 'metrics', containerPort: 81, protocol: 'UDP' as const },
      ],
    ),
    addressless: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  })
  .map(({ index, addressless, ...rest }) => placedPod(index, rest, addressless))

export function placedPod(
  index: number,
  rest: Parameters<typeof podOf>[1],
  addressless = false,
): ReturnType<typeof podOf> {
  const node = NODES[index % NODES.length]!
  const [subnet, host] = [(index % NODES.length) + 1, Math.floor(index / NODES.length) + 2]
  return podOf(`pod${index}`, {
    ...rest,
    namespace: NAMESPACES[index % NAMESPACES.length]!,
    node,
    addresses: addressless ? [] : [`10.9.${subnet}.${host}`, `fd00:9:${subnet}::${host}`],
  })
}

export const initialWorld: fc.Arbitrary<AnyResource[]> = fc
  .record({
    namespaces: fc.tuple(...NAMESPACES.map((name) => labels.map((own) => namespaceOf(name, own)))),
    pods: fc.uniqueArray(randomPod, { minLength: 3, maxLength: POD_COUNT, selector: ({ metadata }) => metadata.name }),
    policies: fc.uniqueArray(randomPolicy, {
      maxLength: 4,
      selector: ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
    }),
  })
  .map(({ namespaces, pods, policies }) => [...namespaces, ...pods, ...policies])

export type WorldStep =
  | { readonly do: 'put'; readonly object: AnyResource }
  | { readonly do: 'remove'; readonly at: number }
  | { readonly do: 'flush' }

export const worldSteps: fc.Arbitrary<WorldStep[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: randomPod.map((object): WorldStep => ({ do: 'put', object })) },
    { weight: 3, arbitrary: randomPolicy.map((object): WorldStep => ({ do: 'put', object })) },
    { weight: 2, arbitrary: randomNamespace.map((object): WorldStep => ({ do: 'put', object })) },
    { weight: 2, arbitrary: fc.nat({ max: 20 }).map((at): WorldStep => ({ do: 'remove', at })) },
    { weight: 2, arbitrary: fc.constant<WorldStep>({ do: 'flush' }) },
  ),
  { maxLength: 12 },
)
