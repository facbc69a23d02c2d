/**
 * Whether the cluster is as its specs say: once all faults are mended and time has passed, nothing may be left that
 * these functions tell of. Each answers with what is not as it should be.
 */
import { heldOf } from '../../controller/nodehealth/disruption-state.ts'
import { healthOf } from '../../controller/nodehealth/health.ts'
import type { Deployment, Pod, Secret } from '../../proto/gen/types.ts'
import type { AppName } from './actions.ts'
import { staysReady } from './behaviour.ts'
import { takers } from './endpoints.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import { APP } from './work.ts'

type Shortfalls = (cluster: SimulatedCluster) => string[]

const everythingRuns: Shortfalls = ({ controllers, nodes, leader }) => [
  ...controllers.flatMap(({ name, running }) => (running === undefined ? [`controller ${name} does not run`] : [])),
  ...nodes.flatMap(({ name, process }) => (process === undefined ? [`agent ${name} does not run`] : [])),
  ...(leader === undefined ? ['nobody leads'] : []),
]

const nodesAreReady: Shortfalls = ({ facts, nodes }) =>
  nodes.flatMap(({ name }) => {
    const node = facts.list('Node').find(({ metadata }) => metadata.name === name)
    if (node === undefined) return [`node ${name} is not registered`]
    const { is } = healthOf(node)
    if (is !== 'ready') return [`node ${name} is ${is}`]
    if (heldOf(node) !== undefined) return [`node ${name} is ready, and its pods are kept from leaving it`]
    const taints = (node.spec.taints ?? []).map(({ key }) => key)
    return taints.length > 0 ? [`node ${name} has taints ${taints.join(', ')}`] : []
  })

const deletionsEnd: Shortfalls = ({ facts }) =>
  [...facts.objects.values()]
    .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name} is being deleted yet`)

const deploymentsAreComplete: Shortfalls = ({ facts }) =>
  facts.list('Deployment').flatMap((deployment) => {
    const { metadata, spec, status } = deployment
    const wanted = spec.replicas ?? 1
    const named = `Deployment ${metadata.name}`
    if (status.observedGeneration !== metadata.generation) return [`${named} is not observed`]
    const app = deployment.spec.template.metadata?.annotations?.[APP] as AppName | undefined
    if (app === undefined || !staysReady(app) || needsMissing(deployment, facts.list('Secret'))) return []
    const found = [status.replicas, status.updatedReplicas, status.availableReplicas].map((count) => count ?? 0)
    return found.every((count) => count === wanted)
      ? []
      : [`${named} has ${found.join('/')} of ${wanted} replicas made/updated/available`]
  })

/** ReplicaSets have as many pods as they say, whether these become ready or not. */
const replicaSetsAreFull: Shortfalls = ({ facts }) =>
  facts.list('ReplicaSet').flatMap(({ metadata, spec }) => {
    const pods = facts
      .list('Pod')
      .filter((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) === true && !hasEnded(pod))
    const wanted = spec.replicas ?? 1
    return pods.length === wanted ? [] : [`ReplicaSet ${metadata.name} has ${pods.length} of ${wanted} pods`]
  })

const podsAreAsTold: Shortfalls = ({ facts, nodes }) =>
  facts.list('Pod').flatMap((pod) => {
    const { metadata, spec, status } = pod
    const named = `pod ${metadata.name}`
    if ((spec.nodeName ?? '') === '') return [`${named} has no node`]
    const running = [...facts.alive.values()].filter(({ instance }) => instance.podUid === metadata.uid).length
    if (hasEnded(pod)) return running === 0 ? [] : [`${named} is ${status.phase} and runs`]
    const app = metadata.annotations?.[APP] as AppName | undefined
    if (app === undefined || !staysReady(app) || waitsForSecret(pod, facts.list('Secret'))) return []
    if (nodes.every(({ name }) => name !== spec.nodeName)) return [`${named} is on no node that there is`]
    if (!isReady(pod)) return [`${named} is ${status.phase} and not ready`]
    return running === 1 ? [] : [`${named} is told to run and has ${running} processes`]
  })

/** What is on a machine belongs to pods that are there. */
const machinesHoldNothingElse: Shortfalls = ({ facts, nodes }) =>
  nodes.flatMap(({ name, machine }) => {
    const here = new Map(
      facts.list('Pod').flatMap((pod) => (pod.spec.nodeName === name ? [[pod.metadata.uid, pod] as const] : [])),
    )
    const left = (what: string, uids: Iterable<string>): string[] =>
      [...uids].filter((uid) => !here.has(uid)).map((uid) => `${name} has ${what} of pod ${uid}, which is not there`)
    const { containers, attached, projected, emptyDirs, logs, disk, rootfs } = machine
    const roots = new Set([...containers.containers.values()].map(({ spec }) => spec.rootfs.replace('/rootfs/', '')))
    const kept = new Set(roots)
    return [
      ...left(
        'a container',
        [...containers.containers.values()].map(({ spec }) => spec.sandboxId),
      ),
      ...left('a sandbox', containers.sandboxes.keys()),
      ...left('an attachment', attached.keys()),
      ...left(
        'a volume',
        [...projected.keys(), ...emptyDirs].map((key) => key.split('/')[0]!),
      ),
      ...left('logs', logs),
      ...left('a record', disk.pods),
      ...[...rootfs].filter((id) => !kept.has(id) && !isAwaited(here)).map((id) => `${name} has root filesystem ${id}`),
    ]
  })

const endpointsAreTheReadyPods: Shortfalls = ({ facts }) =>
  facts.list('Service').flatMap(({ metadata, spec }) => {
    if (spec.selector === undefined) return []
    const wanted = facts
      .list('Pod')
      .filter(
        (pod) =>
          pod.metadata.namespace === metadata.namespace &&
          isReady(pod) &&
          Object.entries(spec.selector!).every(([key, value]) => pod.metadata.labels?.[key] === value),
      )
      .map((pod) => pod.metadata.uid)
    const found = facts
      .list('EndpointSlice')
      .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name)
      .flatMap(takers)
    return same(wanted, found)
      ? []
      : [`Service ${metadata.name} leads to ${found.length} pods, and ${wanted.length} are ready`]
  })

const nodesFollowTheNetwork: Shortfalls = ({ facts, nodes }) => {
  const wanted = facts.list('EndpointSlice').flatMap(takers)
  return nodes.flatMap(({ name }) => {
    const found = [...(facts.sending.get(name) ?? [])]
    return same([...new Set(wanted)], found)
      ? []
      : [`node ${name} sends to ${found.length} pods, and ${wanted.length} take connections`]
  })
}

const volumesShowTheSecrets: Shortfalls = ({ facts, nodes }) =>
  facts.list('Pod').flatMap((pod) =>
    (pod.spec.volumes ?? []).flatMap(({ name, secret }) => {
      if (secret === undefined || hasEnded(pod)) return []
      const found = facts.list('Secret').find(({ metadata }) => metadata.name === secret.secretName)
      const node = nodes.find((other) => other.name === pod.spec.nodeName)
      if (found === undefined || node === undefined) return []
      const text = Buffer.from(found.data?.text ?? '', 'base64').toString()
      const shown = node.machine.projected.get(`${pod.metadata.uid}/${name}`)
      return shown === `text=${text}` ? [] : [`pod ${pod.metadata.name} shows ${shown} of Secret ${secret.secretName}`]
    }),
  )

const cachesShowTheStore: Shortfalls = ({ facts, controllers }) =>
  controllers.flatMap(({ name, running }) => {
    if (running === undefined) return []
    return [...facts.objects.values()].flatMap(({ kind, metadata }) => {
      const shown = running.controller.informer.lister(kind).get(metadata.namespace, metadata.name)
      return shown?.metadata.resourceVersion === metadata.resourceVersion
        ? []
        : [
            `${name} shows ${kind} ${metadata.name} at ${shown?.metadata.resourceVersion}, it is at ${metadata.resourceVersion}`,
          ]
    })
  })

/** What is not as it should be yet; [] once the cluster has converged. */
export function shortfalls(cluster: SimulatedCluster): string[] {
  return [
    everythingRuns,
    nodesAreReady,
    deletionsEnd,
    deploymentsAreComplete,
    replicaSetsAreFull,
    podsAreAsTold,
    machinesHoldNothingElse,
    endpointsAreTheReadyPods,
    nodesFollowTheNetwork,
    volumesShowTheSecrets,
    cachesShowTheStore,
  ].flatMap((find) => find(cluster))
}

function hasEnded({ status: { phase } }: Pod): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

function isReady({ status, metadata }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true
  )
}

function waitsForSecret({ spec }: Pick<Pod, 'spec'>, secrets: readonly Secret[]): boolean {
  return (spec.volumes ?? []).some(
    ({ secret }) => secret !== undefined && secrets.every(({ metadata }) => metadata.name !== secret.secretName),
  )
}

function needsMissing({ spec: { template } }: Deployment, secrets: readonly Secret[]): boolean {
  return waitsForSecret({ spec: template.spec as Pod['spec'] }, secrets)
}

/** A root filesystem is made ready for a container that starts again later. */
function isAwaited(here: ReadonlyMap<string, Pod>): boolean {
  return [...here.values()].some((pod) => !hasEnded(pod) && !isReady(pod))
}

function same(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && [...some].sort().join() === [...others].sort().join()
}
