/**
 * Kernel settings of a pod, and which of them its node allows.
 * https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
 */
import type { Pod } from '../../../proto/gen/types.ts'
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
const OF_IPC = /^(kernel\.(shm|msg)\w*\*?|kernel\.sem|fs\.mqueue\.[\w.\-/*]+)$/
const OF_NETWORK = /^net\.[\w.\-/*]+$/

/**
 * As the runtime knows a setting: parts divided by dots. sysctl(8) also takes slashes, and then a dot is part of a
 * name.
 */
export function sysctlName(name: string): string {
  return /^[^./]*\//.test(name) ? name.replace(/[./]/g, (divider) => (divider === '/' ? '.' : '/')) : name
}

/** What is wrong with an entry of the agent's setting allowedUnsafeSysctls; undefined: nothing. */
export function allowedSysctlProblem(entry: string): string | undefined {
  const name = sysctlName(entry)
  if (/\*./.test(name) || !(OF_IPC.test(name) || OF_NETWORK.test(name)))
    return 'must be kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*, or one of them, with "*" at its end only'
  return undefined
}

/**
 * Undefined: the node may run it. `allowed`: names beside the safe ones; one that ends in "*" is the beginning of
 * names.
 */
export function checkSysctls({ spec }: Pod, allowed: readonly string[]): AdmissionRejection | undefined {
  for (const { name = '' } of spec.securityContext.sysctls ?? []) {
    const known = sysctlName(name)
    const host = OF_IPC.test(known) ? 'hostIPC' : OF_NETWORK.test(known) ? 'hostNetwork' : undefined
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
