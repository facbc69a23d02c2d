/** Files that a pod's containers find in /etc in place of their image's: hosts, hostname, resolv.conf. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container, HostAlias, Pod } from '../../../proto/gen/types.ts'
import { parseResolvConf, RESOLV_CONF } from '../../dns/resolv-conf.ts'
import { checkedLineWord } from '../../host/safe-text.ts'
import type { Mount } from '../../runtime/contract.ts'
import type { PodFolders } from '../../volumes/pod-folders.ts'
import { podResolvConf, type ClusterDns } from './resolv-conf.ts'

/** At most what a host name may have: https://man7.org/linux/man-pages/man7/hostname.7.html */
const HOSTNAME_LIMIT = 63
/** Of the whole name, where that is the host name. */
const FULL_NAME_LIMIT = 64

/** The pod's own host name; undefined in the host's network, where it has the host's. */
export function podHostname(pod: Pod): string | undefined {
  if (pod.spec.hostNetwork === true) return undefined
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '')
}

/**
 * The name by which others find the pod, below its subdomain; undefined for a pod without one. `domain`: the cluster's.
 */
export function podFullName(pod: Pod, domain: string): string | undefined {
  const hostname = podHostname(pod)
  const { subdomain } = pod.spec
  return hostname === undefined || subdomain === undefined || subdomain === ''
    ? undefined
    : `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${domain}`
}

/**
 * What `hostname` answers in the pod; undefined: the node's. FailedPrecondition for a full name that the kernel does
 * not take.
 */
export function sandboxHostname(pod: Pod, domain: string): string | undefined {
  const name = pod.spec.setHostnameAsFQDN === true ? (podFullName(pod, domain) ?? podHostname(pod)) : podHostname(pod)
  if (name === undefined || name.length <= FULL_NAME_LIMIT) return name
  throw new GantryError(
    'FailedPrecondition',
    `the host name "${name}" has ${name.length} characters, more than the ${FULL_NAME_LIMIT} that a host name may have`,
    {
      details: [
        {
          field: 'spec.setHostnameAsFQDN',
          value: 'true',
          remedy: 'give a shorter hostname or subdomain, or leave setHostnameAsFQDN out',
        },
      ],
    },
  )
}

/** The first line, by which programs know a file that is made for a pod. */
const MANAGED_HOSTS_HEADER = '# Kubernetes-managed hosts file.'
const MANAGED_HOST_NETWORK = '# Kubernetes-managed hosts file (host network).'

/** https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/ */
export function hostsFile(
  names: readonly string[],
  addresses: readonly string[],
  aliases: readonly HostAlias[],
): string {
  return [
    MANAGED_HOSTS_HEADER,
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...addresses.map((address) => [address, ...names].map(checkedLineWord).join('\t')),
    ...aliasLines(aliases),
    '',
  ].join('\n')
}

function aliasLines(aliases: readonly HostAlias[]): string[] {
  return aliases.map(
    ({ ip, hostnames }) => `${checkedLineWord(ip)}\t${(hostnames ?? []).map(checkedLineWord).join('\t')}`,
  )
}

/** Of the node, and of its network. */
export interface PodFileContext {
  readonly nodeHostname: string
  readonly addresses: readonly string[]
  readonly dns: ClusterDns
}

/** Writes them; in the host's network hosts begins as the node's own. */
export function writePodFiles(folders: PodFolders, pod: Pod, { nodeHostname, addresses, dns }: PodFileContext): void {
  const { uid } = pod.metadata
  const hostname = podHostname(pod)
  mkdirSync(dirname(folders.etc(uid, 'hosts')), { recursive: true, mode: 0o711 })
  const aliases = pod.spec.hostAliases ?? []
  const full = podFullName(pod, dns.domain)
  const hosts =
    hostname !== undefined
      ? hostsFile(full === undefined ? [hostname] : [full, hostname], addresses, aliases)
      : [MANAGED_HOST_NETWORK, readFileSync('/etc/hosts', 'utf8'), ...aliasLines(aliases), ''].join('\n')
  writeFileSync(folders.etc(uid, 'hosts'), hosts, { mode: 0o644 })
  writeFileSync(
    folders.etc(uid, 'hostname'),
    `${checkedLineWord(sandboxHostname(pod, dns.domain) ?? nodeHostname)}\n`,
    { mode: 0o644 },
  )
  writeFileSync(
    folders.etc(uid, 'resolv.conf'),
    podResolvConf(pod, parseResolvConf(readFileSync(RESOLV_CONF, 'utf8')), dns),
    { mode: 0o644 },
  )
}

/** Their mounts in a container, but for places that the container mounts something of its own at. */
export function podFileMounts(folders: PodFolders, pod: Pod, container: Container): Mount[] {
  const own = new Set(container.volumeMounts?.map((mount) => mount.mountPath))
  return ['hosts', 'hostname', 'resolv.conf'].flatMap((name): Mount[] => {
    const destination = `/etc/${name}`
    if (own.has(destination)) return []
    return [
      {
        type: 'bind',
        source: folders.etc(pod.metadata.uid, name),
        destination,
        readOnly: container.securityContext?.readOnlyRootFilesystem === true,
      },
    ]
  })
}
