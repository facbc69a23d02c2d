/** What a rig may be asked to be, and what it is when not asked. */
import { GantryError } from '../../proto/base/errors.ts'
import type { DriverName } from './contract.ts'
import { CONTROLLER_COUNTS, MAX_NODES, OWN_SETTINGS } from './layout.ts'
import type { RecordedOptions, RigSettings } from './rig-record.ts'

export interface RigOptions {
  /**
   * Lower-case letters, digits and dashes, 32 at most; by default one that no other rig has: "rig-" and six characters.
   */
  readonly name?: string
  /** Default 3; 0 is possible: they can be added later. */
  readonly nodes?: number
  /** 1 (default), 3 or 5. With several, each runs a member of etcd's cluster and of NATS'. */
  readonly controllers?: number
  /** What machines are made of; default "namespaces". */
  readonly driver?: DriverName
  /** Members of an etcd that is there already, as URLs that the machines reach; the controllers then run none. */
  readonly etcd?: readonly string[]
  /** Likewise, NATS servers. */
  readonly nats?: readonly string[]
  /**
   * Settings of every controller and agent, as in their files, e.g. `{ controller: { podCidr: '10.1.0.0/16' }, agent: {
   * network: { overlay: 'vxlan' } } }`. What the rig sets itself cannot be set.
   */
  readonly settings?: RigSettings
  /** Bytes of each machine's disk at most; default 8 GiB. Nothing is set aside for it. */
  readonly diskBytes?: number
  /** Bytes of memory, and processors, that everything on one machine uses at most; default: the host's. */
  readonly memoryBytes?: number
  readonly cpus?: number
  /** The rig ends with this process, however that ends; default true. */
  readonly ephemeral?: boolean
  /**
   * Whether the rig's context goes into the person's context file too, and becomes the current one there. Default
   * `false`: the rig's own file, `rig.context().file`, always has it.
   */
  readonly context?: false | 'add' | 'current'
  /** The person's context file; default $GANTRY_CONFIG, else ~/.config/gantry/config.yaml. */
  readonly contextFile?: string
  /** Puts the images `busybox` and `gantry/hello:1.0` into the rig's registry; default true. */
  readonly demo?: boolean
  /**
   * Fills the registry beside: called with its host:port as soon as its machine runs. The rig is up only when that has
   * ended.
   */
  readonly fillRegistry?: (registry: string) => Promise<void>
  /** Milliseconds for the cluster to be ready once its machines run; default 60,000. */
  readonly timeout?: number
  /** Told what is being done, in a few words. */
  readonly progress?: (text: string) => void
  /**
   * Told what of the host may become a hindrance, and which rigs of dead owners were removed; default: a warning of the
   * process.
   */
  readonly warn?: (text: string) => void
  /** Aborted: what was made is removed, and Cancelled thrown. */
  readonly signal?: AbortSignal
}

/** Every name of RigOptions: the record makes one that is missing or too many a type error. */
const NAMES: Readonly<Record<keyof RigOptions, true>> = {
  name: true,
  nodes: true,
  controllers: true,
  driver: true,
  etcd: true,
  nats: true,
  settings: true,
  diskBytes: true,
  memoryBytes: true,
  cpus: true,
  ephemeral: true,
  context: true,
  contextFile: true,
  demo: true,
  fillRegistry: true,
  timeout: true,
  progress: true,
  warn: true,
  signal: true,
}
export const RIG_OPTIONS: readonly string[] = Object.keys(NAMES)

/** What a rig that is there already is opened with. */
export type OpenOptions = Pick<RigOptions, 'progress' | 'warn' | 'signal'>

export const DEFAULT_NODES = 3
const DISK_BYTES = 8 * 2 ** 30
/** The smallest in which a file system and a node's images have room. */
const LEAST_DISK = 64 * 2 ** 20
const LEAST_MEMORY = 64 * 2 ** 20

function wrong(field: string, value: unknown, message: string, remedy = ''): GantryError {
  return new GantryError(
    'InvalidArgument',
    `${field} ${message}, not ${typeof value === 'string' ? `"${value}"` : String(value)}`,
    { details: [{ field, value: String(value), remedy }] },
  )
}

/** InvalidArgument for what no rig can be called. */
export function checkName(name: string): void {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw wrong('name', name, 'must be lower-case letters, digits and dashes, 32 at most')
}

/** InvalidArgument for what no rig can be, with the reckoning. */
export function checkOptions(options: RigOptions): RecordedOptions {
  const {
    nodes = DEFAULT_NODES,
    controllers = 1,
    diskBytes = DISK_BYTES,
    memoryBytes,
    cpus,
    etcd,
    nats,
    settings,
  } = options
  if (!Number.isInteger(nodes) || nodes < 0) throw wrong('nodes', nodes, 'must be a whole number from 0')
  if (nodes > MAX_NODES)
    throw wrong(
      'nodes',
      nodes,
      `must be ${MAX_NODES} at most: a rig's network is a /24, 254 addresses, of which the host, the registry, up to ${CONTROLLER_COUNTS.at(-1)} controllers and ${MAX_NODES} nodes have theirs`,
      'make a second rig',
    )
  if (!CONTROLLER_COUNTS.includes(controllers))
    throw wrong(
      'controllers',
      controllers,
      `must be ${CONTROLLER_COUNTS.join(', ').replace(/, (\d)$/, ' or $1')}, so that a majority decides`,
    )
  if (!(diskBytes >= LEAST_DISK)) throw wrong('diskBytes', diskBytes, `must be ${LEAST_DISK} (64Mi) or more`)
  if (memoryBytes !== undefined && !(memoryBytes >= LEAST_MEMORY))
    throw wrong('memoryBytes', memoryBytes, `must be ${LEAST_MEMORY} (64Mi) or more`)
  if (cpus !== undefined && !(cpus > 0)) throw wrong('cpus', cpus, 'must be more than 0')
  for (const [field, list] of Object.entries({ etcd, nats }))
    if (list?.length === 0) throw wrong(field, '', 'must name one address at least')
  if (controllers > 1 && (etcd === undefined) !== (nats === undefined)) {
    throw new GantryError(
      'InvalidArgument',
      `${controllers} controllers share one etcd and one NATS: with ${etcd === undefined ? 'nats' : 'etcd'} given, the other must be given too`,
      { details: [{ field: etcd === undefined ? 'etcd' : 'nats', remedy: 'give both, or neither' }] },
    )
  }
  for (const [program, given] of Object.entries(settings ?? {}) as [
    keyof RigSettings,
    Readonly<Record<string, unknown>>,
  ][]) {
    const own = Object.keys(given).find((name) => OWN_SETTINGS[program].includes(name))
    if (own !== undefined)
      throw new GantryError(
        'InvalidArgument',
        `settings.${program}.${own} is the rig's own: it sets ${OWN_SETTINGS[program].join(', ')} itself`,
        { details: [{ field: `settings.${program}.${own}`, remedy: 'leave it out' }] },
      )
  }
  return {
    nodes,
    controllers,
    diskBytes,
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(etcd === undefined ? {} : { etcd }),
    ...(nats === undefined ? {} : { nats }),
    ...(settings === undefined ? {} : { settings }),
  }
}
