/**
 * The resolv.conf(5) that a pod's containers find. Pure.
 * https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
 */
import type { Pod } from '../../../proto/gen/types.ts'
import { NAMESERVER_LIMIT, SEARCH_LENGTH_LIMIT, SEARCH_LIMIT } from '../../../proto/validation/pod-dns.ts'
import type { ResolvConf } from '../../dns/resolv-conf.ts'
import { checkedLineWord } from '../../host/safe-text.ts'

/** What the cluster has to offer to one pod. */
export interface ClusterDns {
  /** Where the node's resolver answers this pod. */
  readonly resolver: string
  readonly domain: string
}

/**
 * Five dots, so that name.namespace.svc is tried below the search domains first. A packet that is lost, as while the
 * agent is begun anew, is sent again after 2 s (glibc; musl divides the 2 s by the attempts).
 */
const CLUSTER_OPTIONS = ['ndots:5', 'timeout:2', 'attempts:3']

export function podResolvConf(pod: Pod, node: ResolvConf, cluster: ClusterDns): string {
  const { dnsConfig = {}, hostNetwork } = pod.spec
  const base = policyOf(pod, node, cluster)
  const nameservers = distinct([...base.nameservers, ...(dnsConfig.nameservers ?? [])]).slice(0, NAMESERVER_LIMIT)
  // A server on the node's loopback is out of the pod's reach; the node's resolver asks it instead.
  const reached =
    hostNetwork === true
      ? nameservers
      : distinct(nameservers.map((address) => (isLoopback(address) ? cluster.resolver : address)))
  const search = fitting(distinct([...base.search, ...(dnsConfig.searches ?? [])]))
  const options = merged(
    base.options,
    (dnsConfig.options ?? []).map(({ name, value }) =>
      value === undefined || value === '' ? name! : `${name}:${value}`,
    ),
  )
  return [
    ...(search.length > 0 ? [`search ${search.map(checkedLineWord).join(' ')}`] : []),
    ...reached.map((address) => `nameserver ${checkedLineWord(address)}`),
    ...(options.length > 0 ? [`options ${options.map(checkedLineWord).join(' ')}`] : []),
    '',
  ].join('\n')
}

function policyOf({ metadata, spec }: Pod, node: ResolvConf, { resolver, domain }: ClusterDns): ResolvConf {
  // In the host's network ClusterFirst is Default: it was there before pods could ask for the cluster's names from it.
  const policy = spec.dnsPolicy === 'ClusterFirst' && spec.hostNetwork === true ? 'Default' : spec.dnsPolicy
  switch (policy) {
    case 'None':
      return { nameservers: [], search: [], options: [] }
    case 'Default':
      return node
    case 'ClusterFirst':
    case 'ClusterFirstWithHostNet':
      return {
        nameservers: [resolver],
        search: [
          `${metadata.namespace}.svc.${domain}`,
          `svc.${domain}`,
          domain,
          ...node.search.filter((name) => name !== '.'),
        ],
        options: CLUSTER_OPTIONS,
      }
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

/** The first that are not too many nor too long; the API refuses a pod whose own are. */
function fitting(domains: readonly string[]): string[] {
  const kept: string[] = []
  for (const domain of domains.slice(0, SEARCH_LIMIT)) {
    if ([...kept, domain].join(' ').length > SEARCH_LENGTH_LIMIT) break
    kept.push(domain)
  }
  return kept
}

/** In order; a later one of the same name takes the place of the one before. */
function merged(...lists: readonly (readonly string[])[]): string[] {
  const byName = new Map<string, string>()
  for (const option of lists.flat()) byName.set(option.split(':')[0]!, option)
  return [...byName.values()]
}
