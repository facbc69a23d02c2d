/**
 * DNS that fails, for what runs on machines: their own programs and their pods. Queries for port 53 are led to a
 * responder on the machine. Those whose names are not meant go on to the server that they were for; that is known when
 * the rules are made for one server each.
 */
import { isIPv4 } from 'node:net'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine } from '../contract.ts'
import { defineFault, type FaultContext, type Values } from './contract.ts'
import { endPrograms, renewPrograms, startPrograms, type FaultProgramSpec } from './fault-program.ts'
import { DNS_FAULTS, type DnsFault } from './program/task.ts'
import { dnsRedirects } from './redirect.ts'

/** The group that the responder's own queries are sent as. */
const GROUP = 53_087
const PORT = 53

const parameters = {
  machines: {
    type: 'machines',
    required: true,
    operand: 0,
    says: 'the machines whose queries fail, those of their pods too',
  },
  mode: {
    type: 'choice',
    choices: DNS_FAULTS,
    required: true,
    operand: 1,
    says: 'how: no answer, SERVFAIL, NXDOMAIN, or a late answer',
  },
  suffix: { type: 'text', says: 'only names that are this or end in it: example.com' },
  latency: { type: 'duration', says: 'slow: how late; 2s unless given' },
  server: {
    type: 'text',
    says: "only queries to this server, an IPv4 address; with a suffix, or slow, those of the machine's resolv.conf unless given",
  },
} as const
type DnsValues = Values<typeof parameters>

export const dnsFault = defineFault({
  kind: 'dns',
  says: 'let DNS fail for machines and their pods: timeout, servfail, nxdomain, slow',
  parameters,
  examples: ['dns n1,n2 timeout --for 10s', 'dns nodes nxdomain --suffix example.com', 'dns n1 slow --latency 3s'],
  describe: ({ machines, mode, suffix, latency, server }) =>
    [
      `DNS ${mode}`,
      ...(latency === undefined ? [] : [`${latency} ms`]),
      ...(suffix === undefined ? [] : [`of ${suffix}`]),
      ...(server === undefined ? [] : [`by ${server}`]),
      `on ${machines.join(', ')}`,
    ].join(' '),

  async begin(field, values, { id, record }) {
    check(values)
    refuseTwice(field, values)
    const wanted = await respondersOf(field, values)
    const servers = [...new Set(wanted.flatMap(({ servers }) => servers))]
    return {
      undo: await startPrograms(field, id, wanted, record),
      note: `by a responder on each machine, for queries over UDP and TCP to ${servers.length === 0 ? 'any server' : servers.join(', ')}`,
    }
  },

  end: (field, undo) => endPrograms(field, undo),

  renew: async (field, undo, values, machine) =>
    renewPrograms(
      field,
      undo,
      values.machines.includes(machine.spec.name) ? [await responderOf(machine, values)] : [],
      machine,
    ),
})

function check({ mode, latency, server }: DnsValues): void {
  if (mode !== 'slow' && latency !== undefined)
    throw new GantryError('InvalidArgument', `${mode} takes no latency`, {
      details: [{ field: 'latency', value: String(latency), remedy: 'leave it out, or use slow' }],
    })
  if (server !== undefined && !isIPv4(server))
    throw new GantryError('InvalidArgument', `"${server}" is not an IPv4 address`, {
      details: [{ field: 'server', value: server, remedy: 'such as 10.96.0.10' }],
    })
}

interface Responder extends FaultProgramSpec {
  /** Empty: any. */
  readonly servers: readonly string[]
}

function respondersOf({ machines }: FaultContext, values: DnsValues): Promise<Responder[]> {
  return Promise.all(
    machines.filter(({ spec }) => values.machines.includes(spec.name)).map((machine) => responderOf(machine, values)),
  )
}

async function responderOf(machine: Machine, { mode, suffix, latency = 2_000, server }: DnsValues): Promise<Responder> {
  const needed = suffix !== undefined || mode === 'slow'
  const servers = server !== undefined ? [server] : needed ? await nameservers(machine) : []
  return {
    machine,
    servers,
    task: {
      mode: 'dns',
      fault: mode as DnsFault,
      latency,
      group: GROUP,
      servers: servers.length === 0 ? [null] : servers.map((address) => ({ address, port: PORT })),
      ...(suffix === undefined ? {} : { suffix }),
    },
    rules: (ports) =>
      dnsRedirects(
        (servers.length === 0 ? [undefined] : servers).map((one, at) => {
          const [ownUdp, ownTcp, udp, tcp] = ports.slice(at * 4) as [number, number, number, number]
          return {
            ...(one === undefined ? {} : { server: one }),
            own: { udp: ownUdp, tcp: ownTcp },
            forwarded: { udp, tcp },
          }
        }),
        GROUP,
      ),
  }
}

/** Of the machine's resolv.conf(5); FailedPrecondition if it names none with an IPv4 address. */
async function nameservers(machine: Machine): Promise<string[]> {
  const { stdout } = await machine.run(['cat', '/etc/resolv.conf'], { allow: [0, 1] })
  const found = stdout.split('\n').flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1]
    return address !== undefined && isIPv4(address) ? [address] : []
  })
  if (found.length > 0) return [...new Set(found)]
  throw new GantryError(
    'FailedPrecondition',
    `${machine.spec.name} has no name server with an IPv4 address in its /etc/resolv.conf: where queries are to go on to is not known`,
    { details: [{ field: 'server', remedy: 'name one (server)' }] },
  )
}

/** A query goes through one responder only. */
function refuseTwice({ others }: FaultContext, { machines }: DnsValues): void {
  for (const { id, kind, values } of others) {
    const both =
      kind === 'dns' ? machines.filter((name) => (values as unknown as DnsValues).machines.includes(name)) : []
    if (both.length > 0)
      throw new GantryError('FailedPrecondition', `DNS of ${both.join(', ')} fails already, by ${id}`, {
        details: [{ field: 'machines', value: both.join(','), remedy: `heal ${id} first` }],
      })
  }
}
