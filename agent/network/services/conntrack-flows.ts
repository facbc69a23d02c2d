/**
 * Connections that the kernel keeps sending where they once went. TCP is left alone: its flows live until the pod ends.
 * UDP and SCTP clients would never notice that an endpoint is gone, so their entries are deleted, by conntrack(8). So
 * are those of TCP to a controller that is gone, which may have had no time to end them: the client's next packet goes
 * to another controller, which knows nothing of the connection and resets it.
 */
import type { AddressFamily } from '../../../proto/base/cidr.ts'
import type { Run } from '../../host/launcher.ts'
import { canonicalAddress } from './endpoints.ts'
import type { Protocol } from './service-plan.ts'

export interface StaleFlow {
  readonly family: AddressFamily
  readonly protocol: Protocol
  /** Where the client sent to; undefined: any address of the node. */
  readonly address: string | undefined
  readonly port: number
  /** Where it went; undefined: wherever. */
  readonly target: { readonly address: string; readonly port: number } | undefined
}

/**
 * Each deletion makes the kernel go through all its entries: with more of them, one listing that is compared costs
 * less.
 */
export const MAX_SINGLE_DELETIONS = 8

/** What the flows are compared with. Addresses are in canonical form. */
export interface Translations {
  /** Targets ("10.1.0.2 . 53") that a flow to this address and port may have; undefined if that is no Service's. */
  targetsOf(family: AddressFamily, protocol: Protocol, address: string, port: number): ReadonlySet<string> | undefined
  /**
   * Whether only Services can be meant by the address: `claimed`; one of the node's own, where they are if it was
   * translated: `shared`.
   */
  kindOf(address: string): 'claimed' | 'shared' | 'foreign'
}

export class ConntrackFlows {
  readonly #run: Run

  /** `run`: where the connections are. */
  constructor(run: Run) {
    this.#run = run
  }

  /** Deletes these. */
  async remove(flows: readonly StaleFlow[]): Promise<void> {
    for (const args of new Set(flows.map((flow) => deletion(flow).join(' ')))) await this.#delete(args.split(' '))
  }

  /** Deletes every flow that goes to another target than it would now. */
  async compare(translations: Translations): Promise<void> {
    for (const protocol of ['UDP', 'SCTP'] as const)
      for (const family of [4, 6] as const) {
        const { stdout } = await this.#run('conntrack', ['-L', '-f', `ipv${family}`, '-p', protocol.toLowerCase()])
        for (const flow of staleFlows(stdout, family, protocol, translations)) await this.#delete(flow)
      }
  }

  /** Exit code 1 also says that there was none; a flow that is gone already is no failure. */
  async #delete(args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.#run('conntrack', args, { allow: [0, 1] })
    if (code === 1 && !stderr.includes('0 flow entries')) await this.#run('conntrack', args)
  }
}

function deletion({ family, protocol, address, port, target }: StaleFlow): string[] {
  return [
    '-D',
    '-f',
    `ipv${family}`,
    '-p',
    protocol.toLowerCase(),
    '--orig-port-dst',
    String(port),
    ...(address === undefined ? [] : ['--orig-dst', address]),
    ...(target === undefined ? [] : ['--reply-src', target.address, '--reply-port-src', String(target.port)]),
  ]
}

/** Arguments for one deletion each, from what `conntrack -L` shows: the client's direction first, then the answers'. */
export function staleFlows(
  listing: string,
  family: AddressFamily,
  protocol: Protocol,
  translations: Translations,
): string[][] {
  return listing.split('\n').flatMap((line) => {
    const fields = [...line.matchAll(/\b(src|dst|sport|dport)=(\S+)/g)].map(([, , value]) => value!)
    if (fields.length < 8) return []
    const [source, destination, sourcePort, port, answering, , answeringPort] = fields as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ]
    const to = canonicalAddress(destination)?.text ?? destination
    const from = canonicalAddress(answering)?.text ?? answering
    const targets = translations.targetsOf(family, protocol, to, Number(port))
    const kind = translations.kindOf(to)
    const right =
      targets === undefined
        ? kind === 'foreign' || (kind === 'shared' && from === to)
        : targets.has(`${from} . ${answeringPort}`)
    if (right) return []
    return [
      [
        '-D',
        '-f',
        `ipv${family}`,
        '-p',
        protocol.toLowerCase(),
        '--orig-src',
        source,
        '--orig-dst',
        destination,
        '--orig-port-src',
        sourcePort,
        '--orig-port-dst',
        port,
      ],
    ]
  })
}
