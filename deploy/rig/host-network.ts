/** The host's side of a rig's network: one bridge, a cable to each machine, and the way out. */
import { readFile, writeFile } from 'node:fs/promises'
import { GantryError } from '../../proto/api/errors.ts'
import { run } from '../../proto/base/command.ts'

const FORWARD = '/proc/sys/net/ipv4/ip_forward'

export interface RigNetwork {
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
  return { bridge: `gantry-rig${prefix.split('.')[2]}`, prefix, table: `gantry_rig_${rig.replaceAll('-', '_')}`, owner: `gantry-rig:${rig}` }
}

/** A bridge's hardware address is fixed: else it changes with each cable plugged in, and machines that know the old one talk past the host for seconds. */
function hardwareAddress(prefix: string): string {
  return ['02:67', ...`${prefix}.1`.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':')
}

/** Makes the bridge with the host's address `.1`, and the rule by which machines reach out through the host. AlreadyExists: another rig was faster. */
export async function createNetwork({ bridge, prefix, table, owner }: RigNetwork): Promise<void> {
  const { code, stderr } = await run('ip', ['link', 'add', bridge, 'address', hardwareAddress(prefix), 'type', 'bridge'], { allow: [0, 2] })
  if (code !== 0) throw new GantryError((await links()).some(({ ifname }) => ifname === bridge) ? 'AlreadyExists' : 'Internal', `cannot make the bridge ${bridge}: ${stderr.trim()}`)
  await run('ip', ['-batch', '-'], { stdin: `link set ${bridge} alias ${owner}\naddr add ${prefix}.1/24 dev ${bridge}\nlink set ${bridge} up\n` })
  await run('nft', ['-f', '-'], {
    stdin: `table ip ${table} {\n  chain postrouting {\n    type nat hook postrouting priority srcnat;\n    ip saddr ${prefix}.0/24 oifname != "${bridge}" masquerade\n  }\n}\n`,
  })
}

/** Lets the host forward; what the setting was before. */
export async function allowForwarding(): Promise<string> {
  const before = (await readFile(FORWARD, 'utf8')).trim()
  if (before !== '1') await writeFile(FORWARD, '1')
  return before
}

export async function restoreForwarding(before: string): Promise<void> {
  await writeFile(FORWARD, before)
}

/** Plugs a machine, known by the pid of its init, into the bridge. */
export async function plugIn({ bridge, prefix }: RigNetwork, cable: string, address: string, pid: number): Promise<void> {
  await run('ip', ['-batch', '-'], { stdin: `link add ${cable} type veth peer name eth0 netns ${pid}\nlink set ${cable} master ${bridge} up\n` })
  await run('nsenter', ['--net', '--target', String(pid), 'ip', '-batch', '-'], {
    stdin: `link set lo up\naddr add ${address}/24 dev eth0\nlink set eth0 up\nroute add default via ${prefix}.1\n`,
  })
}

interface Link {
  readonly ifname: string
  readonly master?: string
  readonly ifalias?: string
}

async function links(): Promise<Link[]> {
  return JSON.parse((await run('ip', ['-json', 'link', 'show'])).stdout) as Link[]
}

/** Removes everything that createNetwork and plugIn made; what is not there, or another rig's, stays as it is. */
export async function removeNetwork({ bridge, table, owner }: RigNetwork): Promise<void> {
  const all = await links()
  if (all.some(({ ifname, ifalias }) => ifname === bridge && (ifalias ?? owner) === owner)) {
    const ours = all.filter((link) => link.master === bridge || link.ifname === bridge)
    await run('ip', ['-force', '-batch', '-'], { stdin: ours.map(({ ifname }) => `link delete ${ifname}\n`).join(''), allow: [0, 1] })
  }
  const tables = (await run('nft', ['list', 'tables', 'ip'])).stdout.split('\n')
  if (tables.includes(`table ip ${table}`)) await run('nft', ['delete', 'table', 'ip', table])
}

/** An IPv4 range as its first and last address. */
function rangeOf(cidr: string): [number, number] | undefined {
  const [address = '', bits = '32'] = cidr.split('/')
  const bytes = address.split('.').map(Number)
  if (bytes.length !== 4 || bytes.some((byte) => !(byte >= 0 && byte <= 255))) return undefined
  const first = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  return [first, first + 2 ** (32 - Number(bits)) - 1]
}

/** The first of the /24s in 10.87.0.0/16 that no route of these (as `ip route show` prints them) overlaps, from `from` on. */
export function choosePrefix(routes: string, from = 0): string {
  const used = routes.split('\n').flatMap((line) => {
    const range = rangeOf(line.split(' ')[0]!)
    return range === undefined ? [] : [range]
  })
  for (let third = from; third < 256; third++) {
    const [first, last] = rangeOf(`10.87.${third}.0/24`)!
    if (!used.some(([begin, end]) => begin <= last && first <= end)) return `10.87.${third}`
  }
  throw new Error('every network of 10.87.0.0/16 is in use on this host: end a rig, or remove the route that covers them')
}

/** A prefix for a new rig on this host; `tried` were free by the routes, and are not. */
export async function freePrefix(tried: readonly string[]): Promise<string> {
  const from = Math.max(0, ...tried.map((prefix) => Number(prefix.split('.')[2]) + 1))
  return choosePrefix((await run('ip', ['route', 'show'])).stdout, from)
}
