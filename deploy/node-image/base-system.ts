/**
 * The system of the node image: a root file system out of the distribution's packages, made by mmdebstrap and kept
 * until the list of packages changes.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { run } from '../../proto/base/command.ts'

const SUITE = 'trixie'
/** Milliseconds for downloading and unpacking about a hundred packages. */
const PATIENCE = 900_000
/** Nobody reads these on a machine that lives for minutes. */
const LEFT_OUT = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/info/*',
  '/usr/share/locale/*',
  '/usr/share/lintian/*',
  '/usr/share/bash-completion/*',
]

export interface BaseSystem {
  /** Twelve hexadecimal digits: the same for the same packages. */
  readonly hash: string
  /** The archive (tar, zstd); made at the first call. */
  archive(): Promise<string>
}

export interface BaseOptions {
  /** This folder. */
  readonly folder: string
  readonly progress: (text: string) => void
  readonly signal?: AbortSignal | undefined
  /** Make it again: the distribution's packages may be newer. */
  readonly fresh?: boolean
}

export async function baseSystem({ folder, progress, signal, fresh = false }: BaseOptions): Promise<BaseSystem> {
  const packages = (await readFile(join(folder, 'packages'), 'utf8'))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const command = [
    '--variant=essential',
    `--include=${packages.join(',')}`,
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    '--dpkgopt=force-unsafe-io',
    `--architectures=${architecture()}`,
    SUITE,
  ]
  const hash = createHash('sha256').update(JSON.stringify(command)).digest('hex').slice(0, 12)
  const cache = cacheFolder(process.env)
  const name = `system-${hash}.tar.zst`
  return {
    hash,
    async archive() {
      const file = join(cache, name)
      if (existsSync(file) && !fresh) return file
      progress(`node image: ${packages.length} packages of Debian ${SUITE}, once`)
      await mkdir(cache, { recursive: true })
      const making = await mkdtemp(join(cache, 'making-'))
      try {
        await make([...command, join(making, name), ...mirror(process.env)], signal)
        await rename(join(making, name), file)
      } finally {
        await rm(making, { recursive: true, force: true })
      }
      for (const other of await readdir(cache))
        if (other.startsWith('system-') && other !== name) await rm(join(cache, other), { force: true })
      return file
    },
  }
}

async function make(command: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  try {
    await run('mmdebstrap', command, { timeout: PATIENCE, signal })
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound'))
      throw new GantryError(
        'FailedPrecondition',
        "mmdebstrap is missing: it makes the node image out of the distribution's packages",
        { cause: thrown, details: [{ field: 'mmdebstrap', remedy: 'apt-get install mmdebstrap' }] },
      )
    throw thrown
  }
}

/** As Debian calls it: https://www.debian.org/ports/ */
function architecture(): string {
  const names: Partial<Record<NodeJS.Architecture, string>> = {
    x64: 'amd64',
    arm64: 'arm64',
    riscv64: 'riscv64',
    ppc64: 'ppc64el',
    s390x: 's390x',
  }
  return names[process.arch] ?? process.arch
}

/** A mirror that is to be used instead of deb.debian.org. */
function mirror({ GANTRY_DEBIAN_MIRROR }: NodeJS.ProcessEnv): string[] {
  return GANTRY_DEBIAN_MIRROR === undefined || GANTRY_DEBIAN_MIRROR === '' ? [] : [GANTRY_DEBIAN_MIRROR]
}

function cacheFolder({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string {
  return process.getuid?.() === 0 ? '/var/cache/gantry' : join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'gantry')
}
