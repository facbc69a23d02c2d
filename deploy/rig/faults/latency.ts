/**
 * Delay, jitter, reordering and a rate for what goes from some machines to others. By the kernel's netem where it is
 * there, on every packet; else by a proxy in user space, on the connections of the control plane (or those to one
 * port).
 *
 *   client ──▶ server's machine: nft ──▶ fault program: a line each way ──▶ server
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine, Role } from '../contract.ts'
import { CONTROLLER_PORT, REGISTRY_PORT } from '../layout.ts'
import { defineFault, type FaultContext, type Values } from './contract.ts'
import { endPrograms, renewPrograms, startPrograms, type FaultProgramSpec } from './fault-program.ts'
import { beginNetem, endNetem, renewNetem, type NetemUndo } from './netem.ts'
import { linkParameters, betweenWords, directionsOf, type LinkSelector } from './link.ts'
import type { Conditions } from './program/task.ts'
import { sourcesKept, tcpRedirects } from './redirect.ts'

/**
 * What the machines of a role serve to others: controllers to agents and people, etcd to clients and peers, NATS to
 * clients and routes; the registry.
 */
const PORTS: Readonly<Record<Role, readonly number[]>> = {
  controller: [CONTROLLER_PORT, 2379, 2380, 4222, 6222],
  registry: [REGISTRY_PORT],
  node: [],
}

const parameters = {
  from: { ...linkParameters.from, host: false },
  to: { ...linkParameters.to, host: false },
  by: { type: 'duration', says: 'how much later it arrives' },
  jitter: { type: 'duration', says: 'by how much more or less than that' },
  reorder: {
    type: 'share',
    says: 'share of packets out of order; on a connection through the proxy, of pieces that come late and hold back what follows',
  },
  rate: { type: 'rate', says: 'bytes a second at most; through the proxy, of each connection' },
  port: { type: 'count', says: 'only connections to this TCP port' },
  oneWay: { ...linkParameters.oneWay, says: 'only what goes from the first side to the other' },
} as const
type Delay = Values<typeof parameters>

/** Connections from some machines to the ports of one, and which way is delayed. */
interface Route {
  readonly server: Machine
  readonly ports: readonly number[]
  readonly clients: readonly { readonly machine: Machine; readonly up: boolean; readonly down: boolean }[]
}

export const delayFault = defineFault({
  kind: 'delay',
  says: 'delay what goes between machines: by netem, else on the connections of the control plane by a proxy',
  parameters,
  examples: [
    'delay n1 controller --by 200ms --jitter 50ms',
    'delay nodes registry --rate 1Mi --for 30s',
    'delay n1 n2 --port 8080 --by 1s --one-way',
  ],
  describe: (values) => `${words(values)} ${betweenWords(sides(values))}`,

  async begin(field, values, { id, record }) {
    check(values)
    const directions = directionsOf(
      sides(values),
      field.machines.map(({ spec }) => spec.name),
    )
    if (field.driver.capabilities.netem)
      return {
        undo: await beginNetem(field, { id, directions }, conditionsOf(values), values.port, record),
        note: 'by the kernel (netem), every packet',
      }
    const routes = routesOf(field, values)
    if (routes.length === 0) throw nothingServed(values)
    refuseTwice(field, routes)
    const undo = await startPrograms(
      field,
      id,
      routes.map((route) => proxyOf(route, conditionsOf(values))),
      record,
    )
    return {
      undo,
      note: `by a proxy in user space on ${values.port === undefined ? "the control plane's own connections" : `connections to port ${values.port}`}; other traffic is not delayed`,
    }
  },

  async end(field, undo) {
    if (isNetem(undo)) await endNetem(field, undo)
    else await endPrograms(field, undo)
  },

  async renew(field, undo, values, machine) {
    if (!isNetem(undo))
      return renewPrograms(
        field,
        undo,
        routesOf(field, values).map((route) => proxyOf(route, conditionsOf(values))),
        machine,
      )
    await renewNetem(field, undo, conditionsOf(values), values.port, machine)
    return undo
  },
})

function isNetem(undo: JsonValue): undo is JsonValue & NetemUndo {
  return 'directions' in (undo as object)
}

function sides({ from, to, oneWay, port }: Delay): LinkSelector {
  return { from, to, oneWay, port, protocol: undefined }
}

function check({ by = 0, jitter = 0, reorder = 0, rate }: Delay): void {
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new GantryError('InvalidArgument', message, { details: [{ field, message, remedy }] })
  }
  if (by === 0 && jitter === 0 && rate === undefined)
    refuse('by', 'nothing is delayed', 'say by how much (by), or a rate')
  if (reorder > 0 && by === 0) refuse('reorder', 'without a delay nothing comes out of order', 'say by how much (by)')
  if (jitter > by)
    refuse(
      'jitter',
      `jitter of ${jitter} ms is more than the delay of ${by} ms`,
      'nothing arrives before it was sent: give it a delay as large (by)',
    )
}

function words({ by, jitter, reorder, rate }: Delay): string {
  return [
    ...(by === undefined ? [] : [`${by} ms delay`]),
    ...(jitter === undefined ? [] : [`${jitter} ms jitter`]),
    ...(reorder === undefined ? [] : [`${Number((reorder * 100).toFixed(4))}% out of order`]),
    ...(rate === undefined ? [] : [`${rate} bytes a second`]),
  ].join(', ')
}

function conditionsOf({ by, jitter, reorder, rate }: Delay): Conditions {
  return {
    ...(by === undefined ? {} : { by }),
    ...(jitter === undefined ? {} : { jitter }),
    ...(reorder === undefined ? {} : { reorder }),
    ...(rate === undefined ? {} : { rate }),
  }
}

/** Connections by which something goes in the directions, among machines that are in the rig now. */
function routesOf(field: FaultContext, values: Delay): Route[] {
  const directions = directionsOf(
    sides(values),
    field.machines.map(({ spec }) => spec.name),
  )
  const has = (from: Machine, to: Machine): boolean =>
    from !== to &&
    directions.some((direction) => direction.from.includes(from.spec.name) && direction.to.includes(to.spec.name))
  return field.machines.flatMap((server) => {
    const ports = values.port === undefined ? PORTS[server.spec.role] : [values.port]
    const clients = field.machines
      .map((machine) => ({ machine, up: has(machine, server), down: has(server, machine) }))
      .filter(({ up, down }) => up || down)
    return ports.length === 0 || clients.length === 0 ? [] : [{ server, ports, clients }]
  })
}

function proxyOf({ server, ports, clients }: Route, conditions: Conditions): FaultProgramSpec {
  const known = clients.map(({ machine: { address }, up, down }) => ({
    address,
    via: viaOf(address),
    up: up ? conditions : {},
    down: down ? conditions : {},
  }))
  return {
    machine: server,
    task: { mode: 'streams', host: server.address, ports, clients: known },
    rules: (listening) =>
      tcpRedirects(
        ports.map((port, at) => ({ sources: known.map(({ address }) => address), port, proxy: listening[at]! })),
      ) + sourcesKept(known, ports),
  }
}

/** A loopback address of its own for each machine of a rig: two bytes of an address tell them apart. */
function viaOf(address: string): string {
  return `127.87.${address.split('.').slice(2).join('.')}`
}

function nothingServed({ from, to }: Delay): GantryError {
  return new GantryError(
    'FailedPrecondition',
    `the control plane has no connections between ${from.join(', ')} and ${to?.join(', ') ?? 'the others'}, and this host's kernel has no netem`,
    {
      details: [
        {
          field: 'to',
          value: to?.join(',') ?? '',
          remedy:
            'name a controller or the registry, or a TCP port (port); or use a kernel with sch_netem for all traffic',
        },
      ],
    },
  )
}

/** A connection goes through one proxy only. */
function refuseTwice(field: FaultContext, routes: readonly Route[]): void {
  for (const { id, values } of field.others.filter(({ kind }) => kind === 'delay')) {
    for (const other of routesOf(field, values as unknown as Delay)) {
      const same = routes.find(({ server }) => server === other.server)
      const port = same?.ports.find((one) => other.ports.includes(one))
      const client = same?.clients.find(({ machine }) => other.clients.some((one) => one.machine === machine))
      if (port === undefined || client === undefined) continue
      throw new GantryError(
        'FailedPrecondition',
        `connections of ${client.machine.spec.name} to port ${port} of ${other.server.spec.name} are delayed already, by ${id}`,
        { details: [{ field: 'from', value: client.machine.spec.name, remedy: `heal ${id} first` }] },
      )
    }
  }
}
