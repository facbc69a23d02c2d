/**
 * The host's IPv4 forwarding, which every rig needs and the last one to go sets back. What it was before the first is
 * kept in a file that is forgotten, like the setting, when the host starts anew.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'

export interface ForwardingPlaces {
  /** The kernel's setting: "0" or "1". */
  readonly setting: string
  /** What it was before. */
  readonly before: string
}

const PLACES: ForwardingPlaces = { setting: '/proc/sys/net/ipv4/ip_forward', before: '/run/gantry-rig-forwarding' }

/**
 * Lets the host forward. To be called when the rig's network is there, so that the last rig, going at the same time,
 * sees it.
 */
export async function holdForwarding({ setting, before }: ForwardingPlaces = PLACES): Promise<void> {
  const now = (await readFile(setting, 'utf8')).trim()
  await noteForwarding(now, before)
  if (now !== '1') await writeFile(setting, '1')
}

/**
 * Keeps what the setting was before the first rig; what is kept already stays. Rigs of older versions kept it
 * themselves.
 */
export async function noteForwarding(was: string, before = PLACES.before): Promise<void> {
  try {
    await writeFile(before, was, { flag: 'wx' })
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
  }
}

/** Sets forwarding back if no rig needs it. To be called when the rig's network is gone. */
export async function releaseForwarding(
  needed: () => Promise<boolean>,
  { setting, before }: ForwardingPlaces = PLACES,
): Promise<void> {
  if (await needed()) return
  let was: string
  try {
    was = await readFile(before, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return
    throw thrown
  }
  if (was === '0') await writeFile(setting, was)
  await rm(before, { force: true })
  // One that was made meanwhile may have found the setting as it needs it, and then lost it.
  if (await needed()) await holdForwarding({ setting, before })
}
