/** What a rig's archive of logs is made of. */
import { release } from 'node:os'
import { formatYaml } from '../../../proto/base/yaml-text.ts'
import type { ClusterClient } from '../../../proto/client/cluster.ts'
import { resources } from '../../../proto/schema/schema.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { VERSION } from '../../../proto/base/version.ts'
import type { AnyResource, JsonValue, Kind, Pod } from '../../../proto/gen/types.ts'
import type { Driver, Machine } from '../contract.ts'
import type { RigRecord } from '../rig-record.ts'
import { ITEM_BYTES, type Item } from './archive.ts'

export interface LogSubject {
  readonly record: RigRecord
  readonly driver: Driver
  readonly machines: readonly Machine[]
  readonly client: ClusterClient
  readonly clock: Clock
}

/** Of each container's log at most. */
const LOG_BYTES = 4 << 20

/** Shell commands whose output tells how a machine is, by file. */
const LOOKS: Readonly<Record<string, { says: string; command: string }>> = {
  'network.txt': {
    says: 'addresses, routes, neighbours, sockets',
    command: 'ip -s address; echo; ip route; echo; ip neighbour; echo; ss -tunap 2>/dev/null || cat /proc/net/tcp',
  },
  'nftables.txt': { says: 'packet filter and address translation', command: 'nft list ruleset' },
  'processes.txt': {
    says: 'every process, with its memory',
    command:
      'ps -eww -o pid,ppid,stat,rss,etime,args 2>/dev/null || for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr "\\0" " " < $p/cmdline 2>/dev/null)"; done',
  },
  'mounts.txt': { says: 'mounts and free space', command: 'cat /proc/self/mounts; echo; df -h 2>/dev/null || true' },
  'memory.txt': {
    says: 'memory and load',
    command: 'cat /proc/meminfo /proc/loadavg; cat /proc/pressure/* 2>/dev/null || true',
  },
  'versions.txt': {
    says: 'programs and kernel',
    command:
      'uname -a; node --version; for p in etcd nats-server crun runc conmon nft docker-registry; do command -v $p >/dev/null && $p --version 2>&1 | head -2; done; true',
  },
}

export function sourcesOf(subject: LogSubject): Item[] {
  const { record, driver, machines } = subject
  return [
    {
      path: 'rig.json',
      says: "the rig's record, faults among it",
      collect: () => Promise.resolve(formatJson(redactRecord(record))),
    },
    { path: 'faults.txt', says: 'faults with their times', collect: () => Promise.resolve(faultLines(record)) },
    { path: 'host.txt', says: 'versions here, and what the host lacks', collect: () => describeHost(subject) },
    ...machines.flatMap((machine) => machineItems(machine)),
    { path: 'cluster', says: 'what the control plane tells', collect: () => clusterItems(subject) },
    {
      path: 'driver.txt',
      says: 'how machines are made',
      collect: () =>
        Promise.resolve(
          formatJson({
            name: driver.name,
            capabilities: { ...driver.capabilities },
            installation: { ...driver.installation },
          }),
        ),
    },
  ]
}

function machineItems(machine: Machine): Item[] {
  const folder = `machines/${machine.spec.name}`
  return [
    { path: `${folder}/log`, says: 'what its programs printed', collect: () => machine.readLog(ITEM_BYTES) },
    {
      path: `${folder}/state`,
      says: 'running, frozen or off',
      collect: async () => `${await machine.state()} ${machine.address}\n`,
    },
    ...Object.entries(LOOKS).map(([file, { says, command }]): Item => ({
      path: `${folder}/${file}`,
      says,
      collect: async (signal) => (await machine.run(['sh', '-c', command], { signal, timeout: 8_000 })).stdout,
    })),
  ]
}

/** Asked first whether it answers: a control plane that is away is one thing missing, not thirty. */
async function clusterItems({ client, clock }: LogSubject): Promise<Item[]> {
  const version = await client.version()
  const all = (kind: Kind): Promise<AnyResource[]> => client.list(kind, { namespace: '' }).then(({ items }) => items)
  return [
    {
      path: 'cluster/version.json',
      says: 'of the controller that answered, and who leads',
      collect: () => Promise.resolve(formatJson(version as unknown as JsonValue)),
    },
    { path: 'cluster/events.txt', says: 'events, oldest first', collect: (signal) => eventLines(client, signal) },
    ...resources
      .filter(({ kind }) => kind !== 'Event')
      .map(({ kind, plural }): Item => ({
        path: `cluster/objects/${plural}.yaml`,
        says: `every ${kind}`,
        collect: async () =>
          (await all(kind as Kind))
            .map((object) => formatYaml(redactObject(object) as unknown as JsonValue))
            .join('---\n'),
      })),
    {
      path: 'cluster/timelines.txt',
      says: 'how each pod came to run',
      collect: async () => (await client.list('Pod', { namespace: '' })).items.map(timelineOf).join('\n'),
    },
    {
      path: 'cluster/why',
      says: 'why pods wait',
      collect: async () =>
        (await client.list('Pod', { namespace: '' })).items
          .filter(({ spec }) => (spec.nodeName ?? '') === '')
          .map((pod) => whyItem(client, pod)),
    },
    {
      path: 'cluster/logs',
      says: "containers' logs",
      collect: async () =>
        (await client.list('Pod', { namespace: '' })).items.flatMap((pod) => podLogs(client, pod, clock)),
    },
  ]
}

function whyItem(client: ClusterClient, { metadata: { namespace = '', name } }: Pod): Item {
  return {
    path: `cluster/why/${namespace}-${name}.json`,
    says: `why pod ${namespace}/${name} waits`,
    collect: async () => formatJson((await client.why(namespace, name)) as unknown as JsonValue),
  }
}

/** Of every container, the instance before too if there was one. */
function podLogs(client: ClusterClient, pod: Pod, clock: Clock): Item[] {
  const {
    metadata: { namespace = '', name },
    spec,
    status,
  } = pod
  if ((spec.nodeName ?? '') === '') return []
  const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
  return [...(spec.initContainers ?? []), ...spec.containers].flatMap((container) => {
    const restarted = (statuses.find((one) => one.name === container.name)?.restartCount ?? 0) > 0
    return [false, ...(restarted ? [true] : [])].map((previous): Item => ({
      path: `cluster/logs/${namespace}/${name}/${container.name}${previous ? '.previous' : ''}.log`,
      says: `log of container ${container.name}${previous ? ' before its last start' : ''}`,
      collect: async (signal) => {
        const chunks: Uint8Array[] = []
        for await (const chunk of client.logs(
          { namespace, pod: name, container: container.name, previous, timestamps: true, limitBytes: LOG_BYTES },
          signal,
        ))
          chunks.push(chunk)
        if (chunks.length === 0) return `nothing was printed as of ${formatTime(clock.now())}\n`
        return Buffer.concat(chunks)
      },
    }))
  })
}

async function eventLines(client: ClusterClient, signal: AbortSignal): Promise<string> {
  const lines: string[] = []
  for await (const { lastTimestamp, eventTime, type, reason, count, involvedObject, message } of client.events(
    { namespace: '' },
    signal,
  )) {
    lines.push(
      `${lastTimestamp ?? eventTime ?? ''} ${type ?? ''} ${reason ?? ''}${(count ?? 1) > 1 ? ` (${count} times)` : ''} ${involvedObject?.kind ?? ''}/${involvedObject?.namespace ?? ''}/${involvedObject?.name ?? ''}: ${message ?? ''}\n`,
    )
  }
  return lines.join('')
}

function timelineOf({ metadata: { namespace, name }, spec, status }: Pod): string {
  const steps = (status.timeline ?? []).map(({ step, time }) => `  ${time ?? ''} ${step ?? ''}\n`)
  return `${namespace}/${name} on ${spec.nodeName ?? 'no node'}: ${status.phase ?? ''}\n${steps.join('')}`
}

function faultLines({ faults }: RigRecord): string {
  if (faults.length === 0) return 'none\n'
  return faults
    .map(
      ({ id, begun, until, ended, description, note }) =>
        `${begun} ${id} ${description}${note === undefined ? '' : ` (${note})`}${ended !== undefined ? `; ended ${ended}` : until !== undefined ? `; until ${until}` : '; in force'}\n`,
    )
    .join('')
}

async function describeHost({ driver, record }: LogSubject): Promise<string> {
  const { controllers, nodes, diskBytes } = record.options
  const shortcomings = await driver.check({ controllers, nodes, diskBytes })
  const lines = shortcomings.map(
    ({ what, found, needed, remedy, severity }) => `${severity}: ${what} is ${found}, ${needed} is needed; ${remedy}\n`,
  )
  return `gantry ${VERSION}, Node.js ${process.version}, Linux ${release()} ${process.arch}\n${lines.length === 0 ? 'the host has what a rig needs\n' : lines.join('')}`
}

/** Files that machines were given hold keys. */
function redactRecord(record: RigRecord): JsonValue {
  return JSON.parse(
    JSON.stringify(record, (key, value: unknown) =>
      key === 'content' && typeof value === 'string' ? hidden(value) : value,
    ),
  ) as JsonValue
}

function redactObject(object: AnyResource): AnyResource {
  if (object.kind !== 'Secret') return object
  // What was applied stands there once more.
  const { managedFields: _fields, annotations: _annotations, ...metadata } = object.metadata
  return {
    ...object,
    metadata,
    data: Object.fromEntries(Object.entries(object.data ?? {}).map(([key, value]) => [key, hidden(value)])),
  }
}

function hidden(value: string): string {
  return `(${value.length} characters left out)`
}

function formatJson(value: JsonValue): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
