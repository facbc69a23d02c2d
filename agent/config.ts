/** What an agent is told: its settings. */
import { absolutePath, checked, count, format, hostPort, listOf, mapOf, oneOf, optional, quantity, section, text, textOrEmpty, withDefault, type Settings } from '../proto/api/config-file.ts'
import type { RegistriesConfig } from './images/contract.ts'

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
  readonly runtime: 'auto' | 'crun' | 'runc'
  readonly registries: RegistriesConfig
  /** Resource → quantity: instead of what the machine has, or in addition. */
  readonly capacity: Readonly<Record<string, string>>
  /** Resource → quantity kept back for the machine itself. */
  readonly reserved: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** At registration. */
  readonly taints: readonly NodeTaint[]
  /** Processes in a pod at most. */
  readonly podPidsLimit: number
  readonly logs: { readonly maxSize: string; readonly maxFiles: number }
}

const LOGS = { maxSize: '10Mi', maxFiles: 5 }
const quantities = mapOf(quantity, format('resourceName'))

export const AGENT_SETTINGS: Settings<AgentConfig> = {
  name: optional(checked(text, format('dnsSubdomain'))),
  address: optional(checked(text, format('ip'))),
  controllers: listOf(hostPort, { least: 1 }),
  tls: optional(section<TlsFiles>({ ca: text, cert: text, key: text, serverName: optional(text) })),
  stateDir: withDefault(absolutePath, '/var/lib/gantry/agent'),
  runDir: withDefault(absolutePath, '/run/gantry/agent'),
  // The root has no limits, and what it holds is not the agent's.
  cgroupParent: withDefault(checked(absolutePath, (value) => (/^(\/(?!\.{1,2}(\/|$))[^/]+)+$/.test(value) ? undefined : 'must be a path below /')), '/gantry'),
  runtime: withDefault(oneOf('auto', 'crun', 'runc'), 'auto'),
  registries: withDefault(section<RegistriesConfig>({ mirrors: withDefault(mapOf(listOf(text)), {}), insecure: withDefault(listOf(text), []), ca: withDefault(mapOf(text), {}) }), {}),
  capacity: withDefault(quantities, {}),
  reserved: withDefault(quantities, {}),
  labels: withDefault(mapOf(checked(textOrEmpty, format('labelValue')), format('labelKey')), {}),
  taints: withDefault(listOf(section<NodeTaint>({ key: checked(text, format('labelKey')), value: optional(checked(textOrEmpty, format('labelValue'))), effect: oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute') })), []),
  podPidsLimit: withDefault(count(1), 4096),
  logs: withDefault(section({ maxSize: withDefault(quantity, LOGS.maxSize), maxFiles: withDefault(count(2), LOGS.maxFiles) }), LOGS),
}
