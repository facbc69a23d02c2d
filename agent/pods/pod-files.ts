/** Files that a pod's containers find in /etc in place of their image's: hosts, hostname, resolv.conf. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Container, HostAlias, Pod } from '../../proto/gen/types.ts'
import type { Mount } from '../runtime/contract.ts'
import type { PodFolders } from '../volumes/pod-folders.ts'

/** At most what a host name may have: https://man7.org/linux/man-pages/man7/hostname.7.html */
const HOSTNAME_LIMIT = 63

/** The pod's own host name; undefined in the host's network, where it has the host's. */
export function podHostname(pod: Pod): string | undefined {
  if (pod.spec.hostNetwork === true) return undefined
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, HOSTNAME_LIMIT).replace(/[-.]+$/, '')
}

/** https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/ */
export function hostsFile(hostname: string, address: string, aliases: readonly HostAlias[]): string {
  return [
    '# Made by Gantry for this pod.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    `${address}\t${hostname}`,
    ...aliasLines(aliases),
    '',
  ].join('\n')
}

function aliasLines(aliases: readonly HostAlias[]): string[] {
  return aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}`)
}

/** Writes them; in the host's network hosts begins as the node's own. */
export function writePodFiles(folders: PodFolders, pod: Pod, nodeHostname: string, address: string): void {
  const { uid } = pod.metadata
  const hostname = podHostname(pod)
  mkdirSync(dirname(folders.etc(uid, 'hosts')), { recursive: true, mode: 0o711 })
  const aliases = pod.spec.hostAliases ?? []
  const hosts = hostname !== undefined ? hostsFile(hostname, address, aliases) : [readFileSync('/etc/hosts', 'utf8'), ...aliasLines(aliases), ''].join('\n')
  writeFileSync(folders.etc(uid, 'hosts'), hosts, { mode: 0o644 })
  writeFileSync(folders.etc(uid, 'hostname'), `${hostname ?? nodeHostname}\n`, { mode: 0o644 })
  copyFileSync('/etc/resolv.conf', folders.etc(uid, 'resolv.conf'))
}

/** Their mounts in a container, but for places that the container mounts something of its own at. */
export function podFileMounts(folders: PodFolders, pod: Pod, container: Container): Mount[] {
  const own = new Set(container.volumeMounts?.map((mount) => mount.mountPath))
  return ['hosts', 'hostname', 'resolv.conf'].flatMap((name): Mount[] => {
    const destination = `/etc/${name}`
    if (own.has(destination)) return []
    return [{ type: 'bind', source: folders.etc(pod.metadata.uid, name), destination, readOnly: container.securityContext?.readOnlyRootFilesystem === true }]
  })
}
