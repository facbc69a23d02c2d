/**
 * Kernel settings of a pod, and which of them its node allows.
 * https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
 */
import type { Pod } from '../../../proto/gen/types.ts'
import { sysctlName, sysctlNamespace } from '../../host/sysctl-names.ts'
import type { AdmissionRejection } from './admission.ts'

/** Those that cannot harm another pod nor take from the node what the pod is not charged for. */
const SAFE: ReadonlySet<string> = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
])

/**
 * Undefined: the node may run it. `allowed`: names beside the safe ones; one that ends in "*" is the beginning of
 * names.
 */
export function checkSysctls({ spec }: Pod, allowed: readonly string[]): AdmissionRejection | undefined {
  for (const { name = '' } of spec.securityContext.sysctls ?? []) {
    const known = sysctlName(name)
    const host = sysctlNamespace(known)
    if (host === undefined) return forbidden(name, "it does not belong to a pod's namespaces")
    if (spec[host] === true) return forbidden(name, `it is the node's own with ${host}`)
    if (!SAFE.has(known) && !allowed.some((entry) => covers(sysctlName(entry), known)))
      return forbidden(name, "it is not safe, and the agent's setting allowedUnsafeSysctls does not name it")
  }
  return undefined
}

function covers(entry: string, name: string): boolean {
  return entry.endsWith('*') ? name.startsWith(entry.slice(0, -1)) : entry === name
}

function forbidden(name: string, why: string): AdmissionRejection {
  return { reason: 'SysctlForbidden', message: `forbidden sysctl: "${name}" is not allowed on this node: ${why}` }
}
