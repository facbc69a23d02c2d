/** The host's side of a rig's network: one bridge, a cable to each machine, and the way out. */
import { readFile, writeFile } from 'node:fs/promises'
import { run } from '../../proto/base/command.ts'

const FORWARD = '/proc/sys/net/ipv4/ip_forward'

export interface RigNetwork {
  /** Interface on the host, at most 15 characters. */
  readonly bridge: string
  /** First three bytes of the machines' /24, e.g. "10.88.0". */
  readonly prefix: string
  /** nftables table, for the way out through the host. */
  readonly table: string
}

/** Makes the bridge with the host's address `.1`, and the rule by which machines reach out through the host. */
export async function createNetwork({ bridge, prefix, table }: RigNetwork): Promise<void> {
  await run('ip', ['-batch', '-'], { stdin: `link add ${bridge} type bridge\naddr add ${prefix}.1/24 dev ${bridge}\nlink set ${bridge} up\n` })
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

/** Removes everything that createNetwork and plugIn made; what is not there is no failure. */
export async function removeNetwork({ bridge, table }: RigNetwork): Promise<void> {
  const links = JSON.parse((await run('ip', ['-json', 'link', 'show'])).stdout) as { ifname: string; master?: string }[]
  const ours = links.filter((link) => link.master === bridge || link.ifname === bridge).map((link) => link.ifname)
  if (ours.length > 0) await run('ip', ['-force', '-batch', '-'], { stdin: ours.map((name) => `link delete ${name}\n`).join(''), allow: [0, 1] })
  const tables = (await run('nft', ['list', 'tables', 'ip'])).stdout.split('\n')
  if (tables.includes(`table ip ${table}`)) await run('nft', ['delete', 'table', 'ip', table])
}

/** The first prefix of 10.88.0 … 10.88.254 that no interface or route of the host uses. */
export async function freePrefix(): Promise<string> {
  const used = (await run('ip', ['route', 'show'])).stdout
  for (let third = 0; third < 255; third++) if (!used.includes(`10.88.${third}.`)) return `10.88.${third}`
  throw new Error('every network of 10.88.0.0/16 is in use on this host')
}
