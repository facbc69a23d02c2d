/** Which OCI runtime runs here, and how it is called. */
import { chmod, mkdir, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'
import type { CgroupLayout } from './cgroups.ts'
import { READ_ONLY_PROGRAM, type ReadOnlyProgram } from './read-only-program.ts'

export type RuntimeName = 'crun' | 'runc'

export interface RuntimeProgram {
  readonly name: RuntimeName
  /** As it is printed, e.g. "crun version 1.21". */
  readonly version: string
  /** What to call: the program, or a script that calls it where the hybrid's version 2 tree is hidden. */
  readonly path: string
  /** What it is to find in its environment. */
  readonly env: Readonly<Record<string, string>>
}

const REMEDY = 'install crun or runc (Debian: apt-get install crun)'

/**
 * The runtime asked for, else crun if it is there, else runc: crun starts a container in a third of runc's time.
 * FailedPrecondition names what is missing. crun refuses the hybrid of control groups as long as it sees the version 2
 * tree, so it is called by a script that hides that tree from it; where the agent's own mount namespace is without the
 * tree, crun is called directly. `readOnly`: where it is called from.
 */
export async function chooseRuntime(
  wanted: RuntimeName | undefined,
  layout: CgroupLayout,
  programDir: string,
  readOnly: ReadOnlyProgram,
): Promise<RuntimeProgram> {
  for (const name of wanted === undefined ? (['crun', 'runc'] as const) : [wanted]) {
    const version = await versionOf(name)
    if (version === undefined) continue
    const path = await absolutePath(name)
    if (name === 'runc') return { name, version, path, env: {} }
    await readOnly.mount(path)
    const unified = layout.version === 1 ? layout.unified : undefined
    return {
      name,
      version,
      path: unified === undefined ? readOnly.path : await writeWrapper(readOnly.path, unified, programDir),
      env: READ_ONLY_PROGRAM,
    }
  }
  throw new GantryError('FailedPrecondition', `no OCI runtime: ${wanted ?? 'crun or runc'} is not installed`, {
    details: [{ field: 'runtime', value: wanted ?? '', remedy: REMEDY }],
  })
}

/** FailedPrecondition unless conmon is installed. */
export async function requireConmon(): Promise<string> {
  if ((await versionOf('conmon')) !== undefined) return absolutePath('conmon')
  throw new GantryError('FailedPrecondition', 'conmon is not installed', {
    details: [{ field: 'conmon', remedy: 'install conmon (Debian: apt-get install conmon)' }],
  })
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    return (await run(program, ['--version'])).stdout.split('\n')[0]!.trim()
  } catch (error) {
    if (GantryError.is(error, 'NotFound')) return undefined
    throw error
  }
}

/** conmon executes the runtime by path, without a search. */
async function absolutePath(program: string): Promise<string> {
  return (await run('sh', ['-c', 'command -v "$1"', 'sh', program])).stdout.trim()
}

/**
 * Costs a few milliseconds a call. Propagation is left as it is everywhere else, so that mounts a container makes for
 * the host still reach it.
 */
async function writeWrapper(program: string, unified: string, programDir: string): Promise<string> {
  const parent = join(unified, '..')
  if ((await statfs(parent)).type === (await statfs(unified)).type)
    throw new GantryError('FailedPrecondition', `${unified} cannot be hidden from crun`, {
      details: [{ field: 'runtime', value: 'crun', remedy: 'use runc' }],
    })
  await mkdir(programDir, { recursive: true, mode: 0o711 })
  const path = join(programDir, 'crun-without-unified')
  await writeFile(
    path,
    [
      '#!/bin/sh',
      '# crun refuses the hybrid of control groups while it sees the version 2 tree.',
      `exec unshare --mount --propagation unchanged -- sh -c 'mount --make-private "$1" && umount "$2" && shift 2 && exec "$@"' sh '${parent}' '${unified}' '${program}' "$@"`,
      '',
    ].join('\n'),
  )
  await chmod(path, 0o755)
  return path
}
