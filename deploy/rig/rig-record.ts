/** What a rig consists of, written down before each part is made, so that whatever happens `down` finds it all. */
import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { RigNetwork } from './host-network.ts'
import type { MachineRecord } from './machine.ts'

export const RIGS = '/var/lib/gantry/rigs'

export interface RigRecord {
  readonly name: string
  /** Undefined until one was chosen. */
  readonly network?: RigNetwork
  /** The host's forwarding setting before the rig; undefined until it was changed. */
  readonly forwardingBefore?: string
  readonly machines: readonly MachineRecord[]
  /** True once `up` has finished. */
  readonly ready: boolean
  readonly nodes: number
}

export function rigDirectory(name: string): string {
  return join(RIGS, name)
}

export async function readRig(name: string): Promise<RigRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(rigDirectory(name), 'rig.json'), 'utf8')) as RigRecord
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
}

/** Every rig on this host but one. */
export async function otherRigs(name: string): Promise<RigRecord[]> {
  const names = (await readdir(RIGS)).filter((other) => other !== name)
  return (await Promise.all(names.map(readRig))).filter((rig) => rig !== undefined)
}

export async function writeRig(record: RigRecord): Promise<void> {
  const directory = rigDirectory(record.name)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(join(directory, 'rig.json.new'), `${JSON.stringify(record, undefined, 2)}\n`)
  await rename(join(directory, 'rig.json.new'), join(directory, 'rig.json'))
}

/** Removes the rig's files, and the folders above them that are then empty. */
export async function forgetRig(name: string): Promise<void> {
  await rm(rigDirectory(name), { recursive: true, force: true })
  for (const folder of [RIGS, dirname(RIGS)]) {
    if ((await readdir(folder)).length > 0) return
    await rmdir(folder)
  }
}
