/** `describe networkpolicy`: what is allowed, in sentences as kubectl puts them. */
import { hasPodNetwork } from '../../objects/network-policy.ts'
import type { LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, Pod } from '../../gen/types.ts'
import { formatSelector } from '../../objects/columns/columns.ts'
import { deletionEntries, markEntries, nameEntries } from './metadata.ts'
import { block, entry, optional, type Entry } from './page.ts'

type Direction = 'ingress' | 'egress'

interface Rule {
  readonly ports: readonly NetworkPolicyPort[]
  readonly peers: readonly NetworkPolicyPeer[]
}

/** As many pods as are named. */
const NAMES = 5

/** `pods`: those that its selector matches. */
export function networkPolicyEntries(policy: NetworkPolicy, pods: readonly Pod[]): Entry[] {
  const { podSelector, ingress = [], egress = [], policyTypes = [] } = policy.spec
  return [
    ...nameEntries(policy),
    ...markEntries(policy),
    entry('Created on', policy.metadata.creationTimestamp ?? ''),
    ...deletionEntries(policy),
    entry(
      'Spec',
      block([
        `PodSelector:     ${selected(podSelector)}`,
        ...directionLines(
          'ingress',
          policyTypes.includes('Ingress'),
          ingress.map(({ ports = [], from = [] }) => ({ ports, peers: from })),
        ),
        ...directionLines(
          'egress',
          policyTypes.includes('Egress'),
          egress.map(({ ports = [], to = [] }) => ({ ports, peers: to })),
        ),
        `Policy Types: ${policyTypes.join(', ')}`,
      ]),
    ),
    entry('Guards', guarded(pods)),
    ...optional(
      'Unknown Ports',
      unknownPorts(
        ingress.flatMap(({ ports = [] }) => ports),
        pods,
      ).join('\n'),
    ),
  ]
}

/** "2 pods (web-1, web-2)" */
function guarded(pods: readonly Pod[]): string {
  const names = pods.filter(hasPodNetwork).map(({ metadata }) => metadata.name)
  if (names.length === 0)
    return pods.length === 0
      ? 'no pod: none has these labels'
      : "no pod: those with these labels are in their node's network"
  return `${names.length} ${names.length === 1 ? 'pod' : 'pods'} (${names.slice(0, NAMES).join(', ')}${names.length > NAMES ? ` and ${names.length - NAMES} more` : ''})`
}

/** Names of ports that no guarded pod has: nothing is allowed by them. */
function unknownPorts(ports: readonly NetworkPolicyPort[], pods: readonly Pod[]): string[] {
  if (pods.length === 0) return []
  const known = new Set(
    pods.flatMap(({ spec }) =>
      [...spec.containers, ...(spec.initContainers ?? [])].flatMap((container) =>
        (container.ports ?? []).flatMap(({ name = '', protocol = 'TCP' }) =>
          name === '' ? [] : [`${name}/${protocol}`],
        ),
      ),
    ),
  )
  const named = ports.flatMap(({ port, protocol = 'TCP' }) => (typeof port === 'string' ? [`${port}/${protocol}`] : []))
  return [...new Set(named)]
    .filter((name) => !known.has(name))
    .map(
      (name) =>
        `${name}: none of these pods has a port of that name${known.size === 0 ? '' : `; they have ${[...known].sort().join(', ')}`}`,
    )
}

function selected(selector: LabelSelector): string {
  const text = formatSelector(selector)
  return text === '<none>' ? '<none> (every pod of this namespace)' : text
}

function directionLines(direction: Direction, concerned: boolean, rules: readonly Rule[]): string[] {
  if (!concerned) return [`Not affecting ${direction} traffic`]
  const text =
    rules.length === 0
      ? [`<none> (the selected pods are isolated for ${direction} connectivity)`]
      : rules.flatMap((rule, index) => [...(index === 0 ? [] : ['----------']), ...ruleLines(direction, rule)])
  return [`Allowing ${direction} traffic:`, ...text.map((line) => `  ${line}`)]
}

function ruleLines(direction: Direction, { ports, peers }: Rule): string[] {
  const peer = direction === 'ingress' ? 'From' : 'To'
  return [
    ...(ports.length === 0
      ? ['To Port: <any> (traffic allowed to all ports)']
      : ports.map((port) => `To Port: ${portText(port)}`)),
    ...(peers.length === 0
      ? [`${peer}: <any> (traffic not restricted by ${direction === 'ingress' ? 'source' : 'destination'})`]
      : peers.flatMap((each) => [`${peer}:`, ...peerLines(each).map((line) => `  ${line}`)])),
  ]
}

/** "80/TCP", "http/TCP", "8000-8080/UDP"; "<any>/TCP" for every port of a protocol. */
function portText({ protocol, port, endPort }: NetworkPolicyPort): string {
  const range = endPort === undefined || endPort === port ? '' : `-${endPort}`
  return `${port ?? '<any>'}${range}/${protocol}`
}

function peerLines({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): string[] {
  if (ipBlock !== undefined)
    return ['IPBlock:', `  CIDR: ${ipBlock.cidr}`, `  Except: ${ipBlock.except?.join(', ') ?? ''}`.trimEnd()]
  return [
    ...(namespaceSelector === undefined ? [] : [`NamespaceSelector: ${formatSelector(namespaceSelector)}`]),
    ...(podSelector === undefined ? [] : [`PodSelector: ${formatSelector(podSelector)}`]),
  ]
}
