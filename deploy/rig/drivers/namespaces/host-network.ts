/** The host's side of a rig's network: one bridge, a cable to each machine, and the way out. */
import { existsSync } from 'node:fs'
import { GantryError } from '../../../../proto/base/errors.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import { runProgram } from './programs.ts'

/** Begins the interface alias of every rig's bridge, and of the cables in it. */
const OWNER = 'gantry-rig:'
const BRIDGE = 'gantry-rig'

export type RigNetwork = {
  /** Interface on the host, at most 15 characters. */
  readonly bridge: string
  /** First three bytes of the machines' /24, e.g. "10.87.0". */
  readonly prefix: string
  /** nftables table, for the way out through the host. */
  readonly table: string
  /** Interface alias of the bridge: whose it is. One without alias is its maker's, who ended in between. */
  readonly owner: string
}

/** The network of a rig on a prefix. */
export function networkOf(rig: string, prefix: string): RigNetwork {
  return {
    bridge: `${BRIDGE}${prefix.split('.')[2]}`,
    prefix,
    table: `gantry_rig_${rig.replaceAll('-', '_')}`,
    owner: `${OWNER}${rig}`,
  }
}

/** The host's end of a machine's cable. */
export function cableOf({ prefix }: RigNetwork, index: number): string {
  return `gr${prefix.split('.')[2]}-${index}`
}

/**
 * A bridge's hardware address is fixed: else it changes with each cable plugged in, and machines that know the old one
 * talk past the host for seconds.
 */
function hardwareAddress(prefix: string): string {
  return ['02:67', ...`${prefix}.1`.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':')
}

/**
 * Makes the bridge with the host's address `.1`, and the rule by which machines reach out through the host.
 * AlreadyExists: another rig was faster.
 */
export async function makeNetwork({ bridge, prefix, table, owner }: RigNetwork): Promise<void> {
  const { code, stderr } = await runProgram(
    'ip',
    ['link', 'add', bridge, 'address', hardwareAddress(prefix), 'type', 'bridge'],
    { allow: [0, 2] },
  )
  if (code !== 0)
    throw new GantryError(
      isThere(bridge) ? 'AlreadyExists' : 'Internal',
      `cannot make the bridge ${bridge}: ${stderr.trim()}`,
    )
  await Promise.all([
    runProgram('ip', ['-batch', '-'], {
      stdin: `link set ${bridge} alias ${owner}\naddr add ${prefix}.1/24 dev ${bridge}\nlink set ${bridge} up\n`,
    }),
    runProgram('nft', ['-f', '-'], {
      stdin: `table ip ${table} {\n  chain postrouting {\n    type nat hook postrouting priority srcnat;\n    ip saddr ${prefix}.0/24 oifname != "${bridge}" masquerade\n  }\n}\n`,
    }),
  ])
}

function isThere(link: string): boolean {
  return existsSync(`/sys/class/net/${link}`)
}

interface Order {
  readonly cable: string
  readonly machine: string
  /** The machine's init. */
  readonly pid: number
  readonly done: () => void
  readonly failed: (error: GantryError) => void
}

/** Plugs machines into a bridge; those that come while one call of `ip` is under way share the next. */
export class VethConnector {
  readonly #bridge: string
  readonly #owner: string
  #orders: Order[] = []
  #busy = false

  constructor({ bridge, owner }: RigNetwork) {
    this.#bridge = bridge
    this.#owner = owner
  }

  /** From then on the machine has an interface eth0. */
  plugIn(cable: string, machine: string, pid: number): Promise<void> {
    return new Promise((done, failed) => {
      this.#orders.push({ cable, machine, pid, done, failed })
      if (!this.#busy) this.#work().catch((thrown: unknown) => this.#fail(GantryError.from(thrown)))
    })
  }

  async #work(): Promise<void> {
    this.#busy = true
    try {
      while (this.#orders.length > 0) {
        const orders = this.#orders.splice(0)
        await this.#serve(orders).catch((thrown: unknown) =>
          orders.forEach(({ failed }) => failed(GantryError.from(thrown))),
        )
      }
    } finally {
      this.#busy = false
    }
  }

  async #serve(orders: readonly Order[]): Promise<void> {
    const stdin = orders
      .map(
        ({ cable, machine, pid }) =>
          `link add ${cable} up master ${this.#bridge} type veth peer name eth0 netns ${pid}\nlink set ${cable} alias ${this.#owner}/${machine}\n`,
      )
      .join('')
    const { stderr } = await runProgram('ip', ['-force', '-batch', '-'], { stdin, allow: [0, 1, 255] })
    for (const { cable, done, failed } of orders) {
      if (isThere(cable)) done()
      else failed(new GantryError('Internal', `cannot make the cable ${cable}: ${stderr.trim()}`))
    }
  }

  #fail(error: GantryError): void {
    for (const { failed } of this.#orders.splice(0)) failed(error)
  }
}

/**
 * Resolves when a cable is gone: it goes with the machine's end of it, and is pulled if that takes longer than
 * `patience` milliseconds.
 */
export async function awaitUnplugged(cable: string, patience = 2_000): Promise<void> {
  const deadline = systemClock.monotonic() + patience
  while (isThere(cable)) {
    if (systemClock.monotonic() > deadline) {
      // It may go by itself at this very moment.
      const { stderr } = await runProgram('ip', ['link', 'delete', cable], { allow: [0, 1] })
      if (isThere(cable)) throw new GantryError('Internal', `cannot pull the cable ${cable}: ${stderr.trim()}`)
      return
    }
    await delay(systemClock, 2)
  }
}

interface Link {
  readonly ifname: string
  readonly master?: string
  readonly ifalias?: string
}

async function links(): Promise<Link[]> {
  return JSON.parse((await runProgram('ip', ['-json', 'link', 'show'])).stdout) as Link[]
}

/** True while any rig has a network on this host. */
export async function anyNetwork(): Promise<boolean> {
  return (await links()).some(({ ifname, ifalias }) => ifname.startsWith(BRIDGE) && ifalias?.startsWith(OWNER) === true)
}

/** The network of a rig by its bridge on this host; undefined if there is none. */
export async function findNetwork(rig: string): Promise<RigNetwork | undefined> {
  const bridge = (await links()).find(
    ({ ifname, ifalias }) => ifname.startsWith(BRIDGE) && ifalias === `${OWNER}${rig}`,
  )
  return bridge === undefined ? undefined : networkOf(rig, `10.87.${bridge.ifname.slice(BRIDGE.length)}`)
}

/** Removes everything that makeNetwork and plugIn made; what is not there, or another rig's, stays as it is. */
export async function removeNetwork({ bridge, table, owner }: RigNetwork): Promise<void> {
  const all = await links()
  const bridges = all
    .filter(
      ({ ifname, ifalias }) =>
        (ifname === bridge && ifalias === undefined) || (ifname.startsWith(BRIDGE) && ifalias === owner),
    )
    .map(({ ifname }) => ifname)
  if (bridges.length > 0) {
    const ours = all.filter(({ master, ifname }) =>
      [master, ifname].some((name) => name !== undefined && bridges.includes(name)),
    )
    await runProgram('ip', ['-force', '-batch', '-'], {
      stdin: ours.map(({ ifname }) => `link delete ${ifname}\n`).join(''),
      allow: [0, 1],
    })
  }
  // Naming it first makes it, if it is not there: deleting then never fails.
  await runProgram('nft', ['-f', '-'], { stdin: `table ip ${table} {}\ndelete table ip ${table}\n` })
}

/** An IPv4 range as its first and last address. */
function rangeOf(cidr: string): [number, number] | undefined {
  const [address = '', bits = '32'] = cidr.split('/')
  const bytes = address.split('.').map(Number)
  if (bytes.length !== 4 || bytes.some((byte) => !(byte >= 0 && byte <= 255))) return undefined
  const first = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  return [first, first + 2 ** (32 - Number(bits)) - 1]
}

/**
 * The first of the /24s in 10.87.0.0/16 that no route of these (as `ip route show` prints them) overlaps, from `from`
 * on. ResourceExhausted if there is none.
 */
export function choosePrefix(routes: string, from = 0): string {
  const used = routes.split('\n').flatMap((line) => {
    const range = rangeOf(line.split(' ')[0]!)
    return range === undefined ? [] : [range]
  })
  for (let third = from; third < 256; third++) {
    const [first, last] = rangeOf(`10.87.${third}.0/24`)!
    if (!used.some(([begin, end]) => begin <= last && first <= end)) return `10.87.${third}`
  }
  throw new GantryError('ResourceExhausted', 'every network of 10.87.0.0/16 is in use on this host', {
    details: [{ field: 'network', remedy: 'end a rig, or remove the route that covers them' }],
  })
}

/** A prefix for a new rig on this host; `tried` were free by the routes, and are not. */
export async function freePrefix(tried: readonly string[]): Promise<string> {
  const from = Math.max(0, ...tried.map((prefix) => Number(prefix.split('.')[2]) + 1))
  return choosePrefix((await runProgram('ip', ['route', 'show'])).stdout, from)
}
