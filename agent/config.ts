/** What an agent is told: its settings. */
import {
  absolutePath,
  checked,
  count,
  format,
  hostPort,
  listOf,
  mapOf,
  oneOf,
  optional,
  port,
  quantity,
  section,
  text,
  textOrEmpty,
  withDefault,
  type Settings,
} from '../proto/base/config-file.ts'
import { asUpstream } from './dns/upstreams.ts'
import type { Overlay } from './network/fabric/fabric-plan.ts'
import { VXLAN_PORT } from './network/fabric/fabric-plan.ts'
import { mayNodeSetLabel } from '../proto/objects/node-labels.ts'
import type { RegistriesConfig } from './images/contract.ts'
import { DEFAULT_UNPACK_LIMITS } from './images/unpack/unpack-budget.ts'
import { allowedSysctlProblem } from './host/sysctl-names.ts'

/** PEM files. */
export interface TlsFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** What the controllers' certificates must be for; the controller's address or common name if it is not given. */
  readonly serverName: string | undefined
}

export interface NodeTaint {
  readonly key: string
  readonly value: string | undefined
  readonly effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
}

/** Of the node's resolver, for names outside the cluster. */
export interface DnsConfig {
  /** Name servers, "10.0.0.53", "10.0.0.53:5353" or "[fd00::53]:53"; none: those of the machine's /etc/resolv.conf. */
  readonly upstream: readonly string[]
  /** Quantity of memory for their answers. */
  readonly cacheSize: string
  /** Seconds that an answer is kept beyond its time, for when no name server answers (RFC 8767); 0: never. */
  readonly serveStale: number
}

/** Ports of Ingresses, on an ingress node. */
export interface IngressConfig {
  readonly http: number
  readonly https: number
}

export interface AgentConfig {
  /** The node's name; the machine's host name if it is not given. */
  readonly name: string | undefined
  /** The node's address in the cluster; that of the default route's interface if it is not given. */
  readonly address: string | undefined
  /** host:port of each controller. */
  readonly controllers: readonly string[]
  /** Files in PEM form. Without it the controllers are spoken to in the clear. */
  readonly tls: TlsFiles | undefined
  readonly stateDir: string
  readonly runDir: string
  readonly cgroupParent: string
  /**
   * The control group with everything on the machine, where that is only a part of the kernel's; undefined: the whole.
   */
  readonly machineCgroup: string | undefined
  readonly runtime: 'auto' | 'crun' | 'runc'
  readonly registries: RegistriesConfig
  /** Of each image: quantity of bytes that all its layers may have together when they are unpacked, and their files. */
  readonly images: { readonly maxUnpackedSize: string; readonly maxFiles: number }
  /** Resource → quantity: instead of what the machine has, or in addition. */
  readonly capacity: Readonly<Record<string, string>>
  /** Resource → quantity kept back for the machine itself. */
  readonly reserved: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** At registration. */
  readonly taints: readonly NodeTaint[]
  /** Processes in a pod at most. */
  readonly podPidsLimit: number
  /** Kernel settings that pods may set beside those that are safe; "*" at the end stands for the rest of the name. */
  readonly allowedUnsafeSysctls: readonly string[]
  /**
   * `overlay`: how pods of other nodes are reached; `mtu`: bytes of a pod's packet, worked out if it is not given;
   * `vxlanPort`: UDP port, the same on all nodes.
   */
  readonly network: { readonly overlay: Overlay; readonly mtu: number | undefined; readonly vxlanPort: number }
  readonly logs: { readonly maxSize: string; readonly maxFiles: number }
  readonly dns: DnsConfig
  readonly entrance: IngressConfig
}

const NETWORK = { overlay: 'auto', mtu: undefined, vxlanPort: VXLAN_PORT } as const
const IMAGES = { maxUnpackedSize: '32Gi', maxFiles: DEFAULT_UNPACK_LIMITS.files }
const LOGS = { maxSize: '10Mi', maxFiles: 5 }
const DNS: DnsConfig = { upstream: [], cacheSize: '8Mi', serveStale: 3600 }
const nameServer = checked(text, (value) =>
  asUpstream(value) === undefined
    ? 'must be an IP address, with a port as in 10.0.0.53:53 or [fd00::53]:53'
    : undefined,
)
const quantities = mapOf(quantity, format('resourceName'))

const labelKey = format('labelKey')

/** A label that the control plane would refuse from a node. */
function labelKeyProblem(key: string): string | undefined {
  return labelKey(key) ?? (mayNodeSetLabel(key) ? undefined : 'is for administrators to give: use gantry label node')
}

const DEFAULT_INGRESS: IngressConfig = { http: 80, https: 443 }

export const AGENT_SETTINGS: Settings<AgentConfig> = {
  name: optional(checked(text, format('dnsSubdomain'))),
  address: optional(checked(text, format('ip'))),
  controllers: listOf(hostPort, { least: 1 }),
  tls: optional(section<TlsFiles>({ ca: text, cert: text, key: text, serverName: optional(text) })),
  stateDir: withDefault(absolutePath, '/var/lib/gantry/agent'),
  runDir: withDefault(absolutePath, '/run/gantry/agent'),
  // The root has no limits, and what it holds is not the agent's.
  cgroupParent: withDefault(
    checked(absolutePath, (value) =>
      /^(\/(?!\.{1,2}(\/|$))[^/]+)+$/.test(value) ? undefined : 'must be a path below /',
    ),
    '/gantry',
  ),
  machineCgroup: optional(absolutePath),
  runtime: withDefault(oneOf('auto', 'crun', 'runc'), 'auto'),
  registries: withDefault(
    section<RegistriesConfig>({
      mirrors: withDefault(mapOf(listOf(text)), {}),
      insecure: withDefault(listOf(text), []),
      ca: withDefault(mapOf(text), {}),
    }),
    {},
  ),
  images: withDefault(
    section<AgentConfig['images']>({
      maxUnpackedSize: withDefault(quantity, IMAGES.maxUnpackedSize),
      maxFiles: withDefault(count(1), IMAGES.maxFiles),
    }),
    IMAGES,
  ),
  capacity: withDefault(quantities, {}),
  reserved: withDefault(quantities, {}),
  labels: withDefault(mapOf(checked(textOrEmpty, format('labelValue')), labelKeyProblem), {}),
  taints: withDefault(
    listOf(
      section<NodeTaint>({
        key: checked(text, format('labelKey')),
        value: optional(checked(textOrEmpty, format('labelValue'))),
        effect: oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute'),
      }),
    ),
    [],
  ),
  podPidsLimit: withDefault(count(1), 4096),
  allowedUnsafeSysctls: withDefault(listOf(checked(text, allowedSysctlProblem)), []),
  entrance: withDefault(
    section<IngressConfig>({
      http: withDefault(port, DEFAULT_INGRESS.http),
      https: withDefault(port, DEFAULT_INGRESS.https),
    }),
    DEFAULT_INGRESS,
  ),
  dns: withDefault(
    section<DnsConfig>({
      upstream: withDefault(listOf(nameServer), DNS.upstream),
      cacheSize: withDefault(quantity, DNS.cacheSize),
      serveStale: withDefault(count(0), DNS.serveStale),
    }),
    DNS,
  ),
  // 1280 is the least that IPv6 works with (RFC 8200, section 5).
  network: withDefault(
    section<AgentConfig['network']>({
      overlay: withDefault(oneOf('auto', 'vxlan'), NETWORK.overlay),
      mtu: optional(count(1280)),
      vxlanPort: withDefault(port, NETWORK.vxlanPort),
    }),
    NETWORK,
  ),
  logs: withDefault(
    section({ maxSize: withDefault(quantity, LOGS.maxSize), maxFiles: withDefault(count(2), LOGS.maxFiles) }),
    LOGS,
  ),
}
