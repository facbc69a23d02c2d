/**
 * From what was asked for to machines: their names, numbers, roles, programs and files. Nothing here touches the host.
 */
import { join } from 'node:path'
import { stringify } from 'yaml'
import { CLOCK_OFFSET_VARIABLE } from '../../proto/base/clock.ts'
import { CONTROLLER_HOST } from '../../proto/rpc/rpc.ts'
import { apiHosts, type CertificateRequest, type KeyPair } from '../ca.ts'
import type { Driver, MachineFile, MachineSpec, ProgramName, Role } from './contract.ts'
import { rigDirectory, type RecordedOptions, type RigSettings } from './rig-record.ts'

export const REGISTRY = 'registry'
export const CONTROLLER_PORT = 7443
/** Of the Kubernetes API. */
export const KUBE_PORT = 6443
export const REGISTRY_PORT = 5000

/** Where a machine's programs keep sockets and pid files: short, because a socket's path has at most 107 bytes. */
const RUN = '/run/gantry'

/**
 * Numbers in the rig's network: .1 is the host, .2 the first controller, .3 the registry, .4 to .7 more controllers,
 * .11 and on the nodes.
 */
const REGISTRY_INDEX = 3
const NODE_BASE = 10
/** The most nodes that the addresses of one rig's /24 hold. */
export const MAX_NODES = 200
/** How many controllers a rig may have: a majority of an even number is no smaller than that of the next odd one. */
export const CONTROLLER_COUNTS: readonly number[] = [1, 3, 5]

/** A place in the layout: what a machine is before it has files. */
export interface MachineSlot {
  readonly name: string
  readonly role: Role
  readonly index: number
}

export function controllerSlots(count: number): MachineSlot[] {
  if (count === 1) return [{ name: 'controller', role: 'controller', index: 2 }]
  return Array.from({ length: count }, (_, at) => ({
    name: `controller-${at + 1}`,
    role: 'controller',
    index: at === 0 ? 2 : REGISTRY_INDEX + at,
  }))
}

export const REGISTRY_SLOT: MachineSlot = { name: REGISTRY, role: 'registry', index: REGISTRY_INDEX }

/** The node with this number, from 1. */
export function nodeSlot(number: number): MachineSlot {
  return { name: `n${number}`, role: 'node', index: NODE_BASE + number }
}

/** The number of a node by its name; undefined for what is no node's. */
function nodeNumber(name: string): number | undefined {
  const digits = /^n([1-9]\d*)$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The lowest numbers from 1 that no node has, `count` of them. */
export function freeNodeNumbers(names: Iterable<string>, count: number): number[] {
  const taken = new Set([...names].map(nodeNumber))
  return Array.from({ length: MAX_NODES }, (_, at) => at + 1)
    .filter((number) => !taken.has(number))
    .slice(0, count)
}

/** What the machines of one rig share. */
export interface LayoutContext {
  readonly rig: string
  readonly options: RecordedOptions
  readonly installation: Driver['installation']
  /** The certificate authority's certificate, PEM. */
  readonly authority: string
  /** The host under which machines reach the machine of a slot. */
  readonly hostOf: (slot: MachineSlot) => string
}

/** Settings of controllers that their certificates depend on, where nothing else is said. */
const SERVICE_CIDR = '10.96.0.0/16'
const CLUSTER_DOMAIN = 'cluster.local'

/** What a machine's certificate must say; undefined for one that needs none. */
export function certificateOf(
  slot: MachineSlot,
  { hostOf, options: { settings } }: Pick<LayoutContext, 'hostOf' | 'options'>,
): CertificateRequest | undefined {
  switch (slot.role) {
    case 'controller': {
      const { serviceCidr = SERVICE_CIDR, clusterDomain = CLUSTER_DOMAIN } = settings?.controller ?? {}
      const own = [CONTROLLER_HOST, hostOf(slot), slot.name, 'localhost', '127.0.0.1']
      return {
        commonName: `system:controller:${slot.name}`,
        organizations: ['system:controllers'],
        hosts: [...new Set([...own, ...apiHosts(String(serviceCidr), String(clusterDomain))])],
      }
    }
    case 'node':
      return { commonName: `system:node:${slot.name}`, organizations: ['system:nodes'] }
    case 'registry':
      return undefined
  }
}

/** The machine of a slot; `pair` is the certificate that `certificateOf` asks for. */
export function machineSpec(scene: LayoutContext, slot: MachineSlot, pair: KeyPair | undefined): MachineSpec {
  const {
    rig,
    options: { diskBytes, memoryBytes, cpus },
    installation,
  } = scene
  const home = join(rigDirectory(rig), slot.name)
  const stateDir = join(home, 'state')
  const runDir = join(RUN, rig, slot.name)
  const config = join(home, 'config.yaml')
  const tls = { ca: join(home, 'tls/ca.crt'), cert: join(home, 'tls/tls.crt'), key: join(home, 'tls/tls.key') }
  const certificates: MachineFile[] =
    pair === undefined
      ? []
      : [
          { path: tls.ca, content: scene.authority, mode: 0o644 },
          { path: tls.cert, content: pair.cert, mode: 0o644 },
          { path: tls.key, content: pair.key },
        ]
  const bundle = (name: ProgramName, file: string): MachineSpec['program'] => ({
    name,
    command: [...clockOffsetCommand(runDir), installation.node, join(installation.dist, file), '--config', config],
  })
  const [program, settings] = ((): [MachineSpec['program'], unknown] => {
    switch (slot.role) {
      case 'controller':
        return [
          bundle('controller', 'gantry-controller.cjs'),
          controllerSettings(scene, slot, join(stateDir, 'data'), tls),
        ]
      case 'node':
        return [bundle('agent', 'gantry-agent.cjs'), agentSettings(scene, slot, join(stateDir, 'agent'), runDir, tls)]
      case 'registry':
        return [
          { name: 'registry', command: ['docker-registry', 'serve', config] },
          registrySettings(scene, slot, join(stateDir, 'data')),
        ]
    }
  })()
  return {
    ...slot,
    program,
    files: [...certificates, { path: config, content: stringify(settings) }],
    stateDir,
    runDir,
    log: join(home, 'log'),
    diskBytes,
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpus === undefined ? {} : { cpus }),
  }
}

type Tls = Readonly<Record<'ca' | 'cert' | 'key', string>>

/** Settings that the rig itself gives to programs. */
export const OWN_SETTINGS: Readonly<Record<keyof RigSettings, readonly string[]>> = {
  controller: ['name', 'listen', 'kubeListen', 'dataDir', 'tls', 'members', 'etcd', 'nats'],
  agent: ['name', 'controllers', 'tls', 'stateDir', 'runDir', 'cgroupParent', 'machineCgroup', 'registries'],
}

function controllerSettings(
  { options: { controllers, etcd, nats, settings }, hostOf }: LayoutContext,
  slot: MachineSlot,
  dataDir: string,
  tls: Tls,
): unknown {
  const alone = controllers === 1 || etcd !== undefined
  return {
    ...settings?.controller,
    name: slot.name,
    listen: `${hostOf(slot)}:${CONTROLLER_PORT}`,
    kubeListen: `${hostOf(slot)}:${KUBE_PORT}`,
    dataDir,
    tls,
    ...(alone
      ? {}
      : { members: controllerSlots(controllers).map((member) => ({ name: member.name, address: hostOf(member) })) }),
    ...(etcd === undefined ? {} : { etcd }),
    ...(nats === undefined ? {} : { nats }),
  }
}

function agentSettings(
  { rig, options: { controllers, settings }, hostOf }: LayoutContext,
  slot: MachineSlot,
  stateDir: string,
  runDir: string,
  tls: Tls,
): unknown {
  const mirror = `${hostOf(REGISTRY_SLOT)}:${REGISTRY_PORT}`
  const group = `/gantry-rig/${rig}/${slot.name}`
  return {
    ...settings?.agent,
    name: slot.name,
    controllers: controllerSlots(controllers).map((controller) => `${hostOf(controller)}:${CONTROLLER_PORT}`),
    tls,
    stateDir,
    runDir,
    cgroupParent: group,
    machineCgroup: group,
    // The rig's registry stands in for all: images of docker.io are at its root, those of another registry in a folder
    // of its name.
    registries: {
      mirrors: { 'docker.io': [`http://${mirror}`], [mirror]: [], '*': [`http://${mirror}/v2/*`] },
      insecure: [mirror],
    },
  }
}

/** https://distribution.github.io/distribution/about/configuration/ */
function registrySettings({ hostOf }: LayoutContext, slot: MachineSlot, rootdirectory: string): unknown {
  return {
    version: 0.1,
    log: { level: 'warn' },
    http: { addr: `${hostOf(slot)}:${REGISTRY_PORT}` },
    storage: { filesystem: { rootdirectory }, delete: { enabled: true } },
  }
}

/**
 * What a program's command begins with so that its clock can be set off. A reboot empties runDir, and sets the clock
 * right.
 */
function clockOffsetCommand(runDir: string): string[] {
  return ['env', `${CLOCK_OFFSET_VARIABLE}=${join(runDir, 'clock-offset')}`]
}
