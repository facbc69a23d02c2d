/** Which Networks a pod asks for: the annotations gantry.dev/networks and gantry.dev/cluster-network. Pure. */
import type { ObjectMeta } from '../gen/types.ts'
import { formatRule } from '../base/format.ts'

export const NETWORKS_ANNOTATION = 'gantry.dev/networks'
export const CLUSTER_NETWORK_ANNOTATION = 'gantry.dev/cluster-network'

/** The cluster's own network inside a pod. */
const CLUSTER_INTERFACE = 'eth0'
/** Linux: at most 15 bytes, no slash, no blank (net/core/dev.c, dev_valid_name). */
const INTERFACE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/

export interface PodNetworkRequest {
  /** A Network's name in the pod's namespace. */
  readonly network: string
  readonly interface: string
}

export interface PodNetworks {
  /** Whether the pod is on the cluster's own network. */
  readonly cluster: boolean
  readonly further: readonly PodNetworkRequest[]
}

export interface AnnotationFlaw {
  readonly annotation: string
  readonly value: string
  readonly message: string
  readonly remedy: string
}

/**
 * What a pod with these annotations asks for. An entry is undefined where `networkFlaws` finds something wrong. An
 * interface without a name is called net1, net2, … by its place in the list.
 */
export function podNetworks({ annotations }: Pick<ObjectMeta, 'annotations'>): PodNetworks {
  return {
    cluster: annotations?.[CLUSTER_NETWORK_ANNOTATION] !== 'none',
    further: items(annotations?.[NETWORKS_ANNOTATION]).map((item, index) => {
      const [network = '', name = `net${index + 1}`] = item.split('=').map((part) => part.trim())
      return { network, interface: name }
    }),
  }
}

/** What is wrong with the annotations; empty if nothing is. */
export function networkFlaws(metadata: Pick<ObjectMeta, 'annotations'>): AnnotationFlaw[] {
  const flaws: AnnotationFlaw[] = []
  const cluster = metadata.annotations?.[CLUSTER_NETWORK_ANNOTATION]
  if (cluster !== undefined && cluster !== 'none' && cluster !== CLUSTER_INTERFACE) {
    flaws.push({
      annotation: CLUSTER_NETWORK_ANNOTATION,
      value: cluster,
      message: 'is neither none nor eth0',
      remedy: "write none to leave the cluster's own network out, or leave the annotation out",
    })
  }
  const text = metadata.annotations?.[NETWORKS_ANNOTATION]
  const wrong = (value: string, message: string, remedy: string): void =>
    void flaws.push({ annotation: NETWORKS_ANNOTATION, value, message, remedy })
  const all = podNetworks(metadata)
  const texts = items(text)
  const networks = new Set<string>()
  const interfaces = new Set<string>()
  for (const [index, request] of all.further.entries()) {
    const item = texts[index]!
    const flaw = formatRule('dnsSubdomain')(request.network)
    if (item.split('=').length > 2 || request.network === '')
      wrong(item, 'is no network', 'write NETWORK or NETWORK=INTERFACE, divided by commas')
    else if (flaw !== undefined) wrong(request.network, flaw.message, flaw.remedy)
    if (!INTERFACE.test(request.interface))
      wrong(request.interface, 'cannot name an interface', 'use up to 15 letters, digits, "_", "." and "-"')
    else if (request.interface === 'lo' || (request.interface === CLUSTER_INTERFACE && all.cluster))
      wrong(request.interface, 'is the name of another interface of the pod', 'choose another name')
    if (networks.has(request.network)) wrong(request.network, 'stands there twice', 'name each network once')
    if (interfaces.has(request.interface)) wrong(request.interface, 'names two interfaces', 'give each its own name')
    networks.add(request.network)
    interfaces.add(request.interface)
  }
  if (!all.cluster && all.further.length === 0)
    wrong(
      text ?? '',
      "leaves the pod without any network, as it is not on the cluster's own either",
      `name a network, or leave ${CLUSTER_NETWORK_ANNOTATION} out`,
    )
  return flaws
}

function items(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
