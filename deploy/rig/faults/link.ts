/**
 * Who a packet fault lies between: the parameters that name them, their addresses, and the directions of packets that
 * it is about.
 */
import { networkInterfaces } from 'node:os'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine } from '../contract.ts'
import type { FaultContext, Parameters } from './contract.ts'
import { HOST } from './values.ts'

/** The parameters of every fault of packets between machines. */
export const linkParameters = {
  from: { type: 'machines', required: true, operand: 0, host: true, says: 'one side' },
  to: { type: 'machines', operand: 1, host: true, says: 'the other side; all other machines of the rig unless named' },
  oneWay: { type: 'boolean', says: 'only packets from the first side to the other' },
  port: { type: 'count', says: 'only packets from or to this port' },
  protocol: { type: 'choice', choices: ['tcp', 'udp'], says: 'with a port: of this protocol only' },
} as const satisfies Parameters

export interface LinkSelector {
  readonly from: readonly string[]
  readonly to: readonly string[] | undefined
  readonly oneWay: boolean | undefined
  readonly port: number | undefined
  readonly protocol: string | undefined
}

/** One side of a link. */
export interface LinkEndpoint {
  readonly name: string
  /** IPv4 and IPv6. */
  readonly addresses: readonly string[]
  /** Hardware addresses of a machine that is on: what it sends carries one, whatever address of a pod it comes from. */
  readonly hardware: readonly string[]
}

/** Packets from one side to the other. */
export interface Direction {
  readonly from: readonly string[]
  readonly to: readonly string[]
}

/** A machine as others meet it on the rig's network. */
export interface MachineAttachment {
  readonly party: LinkEndpoint
  /** Its interface on the rig's network; undefined while it is off. */
  readonly device: string | undefined
}

const LAST_PORT = 65_535

/**
 * The other side: a machine named on both counts to the first, so that "controller-1" and "controllers" are one and the
 * rest.
 */
function otherSide({ from, to }: Pick<LinkSelector, 'from' | 'to'>, machines: readonly string[]): readonly string[] {
  return (to ?? machines).filter((name) => !from.includes(name))
}

/** The directions of packets; InvalidArgument for values that do not go together. */
export function directionsOf(values: LinkSelector, machines: readonly string[]): Direction[] {
  const { from, oneWay, port, protocol } = values
  const to = otherSide(values, machines)
  if (to.length === 0)
    throw refused('to', (values.to ?? []).join(), `no machine is left beside ${from.join(', ')}`, 'name the two sides')
  if ([...from, ...to].every((name) => name === HOST))
    throw refused('from', HOST, 'no machine is named', 'name a machine on one side')
  if (port !== undefined && (port < 1 || port > LAST_PORT))
    throw refused('port', String(port), `${port} is not a port`, `from 1 to ${LAST_PORT}`)
  if (port === undefined && protocol !== undefined)
    throw refused('protocol', protocol, 'a protocol without a port', 'name the port too, or leave it out')
  return oneWay === true
    ? [{ from, to }]
    : [
        { from, to },
        { from: to, to: from },
      ]
}

function refused(field: string, value: string, message: string, remedy: string): GantryError {
  return new GantryError('InvalidArgument', message, { details: [{ field, value, message, remedy }] })
}

/** "between n1 and n2, n3", "from n1 to n2, tcp port 7443". */
export function betweenWords(values: LinkSelector): string {
  const { from, oneWay, port, protocol } = values
  const to = values.to === undefined ? 'all other machines' : otherSide(values, []).join(', ')
  const sides = oneWay === true ? `from ${from.join(', ')} to ${to}` : `between ${from.join(', ')} and ${to}`
  return port === undefined ? sides : `${sides}, ${protocol === undefined ? '' : `${protocol} `}port ${port}`
}

interface Interface {
  readonly ifname: string
  readonly address?: string
  readonly addr_info: readonly { readonly local: string; readonly family: string; readonly scope: string }[]
}

/** Asks a machine for its interface on the rig's network and the addresses of it. */
export async function attachmentOf(machine: Machine): Promise<MachineAttachment> {
  const { name } = machine.spec
  if ((await machine.state()) === 'off')
    return { party: { name, addresses: [machine.address], hardware: [] }, device: undefined }
  const { stdout } = await machine.run(['ip', '-json', 'addr', 'show'])
  const found = (JSON.parse(stdout) as Interface[]).find(({ addr_info }) =>
    addr_info.some(({ local }) => local === machine.address),
  )
  if (found === undefined)
    throw new GantryError('FailedPrecondition', `${name} has no interface with its address ${machine.address}`, {
      details: [{ field: 'machine', value: name, remedy: 'reboot it' }],
    })
  return {
    party: {
      name,
      addresses: found.addr_info.map(({ local }) => local),
      hardware: found.address === undefined ? [] : [found.address],
    },
    device: found.ifname,
  }
}

/** Each machine's place by its name. */
export async function attachmentsOf(machines: readonly Machine[]): Promise<ReadonlyMap<string, MachineAttachment>> {
  return new Map(
    await Promise.all(machines.map(async (machine) => [machine.spec.name, await attachmentOf(machine)] as const)),
  )
}

/** The host, by every address of its own that others reach. */
export function hostParty(): LinkEndpoint {
  const addresses = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
  )
  return { name: HOST, addresses: [...new Set(addresses)], hardware: [] }
}

/** The machines of the rig among these names, the host and those that were removed left out. */
export function machinesAmong(field: FaultContext, names: readonly string[]): Machine[] {
  return field.machines.filter(({ spec }) => names.includes(spec.name))
}
