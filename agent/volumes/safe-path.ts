/**
 * Paths inside a tree that somebody else writes: no link leads out of it, whatever changes meanwhile. Node.js has no
 * openat, but /proc/self/fd/N/name opened with O_NOFOLLOW is one
 * (https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html): each component is opened relative to the directory held
 * open, and a link met is followed by hand.
 */
import { constants, type Stats } from 'node:fs'
import { chmod, mkdir, open, readlink, type FileHandle } from 'node:fs/promises'
import { GantryError } from '../../proto/base/errors.ts'

/** Of Linux on every architecture that Node.js runs on; not in fs.constants. */
const O_PATH = 0o10000000
/** As the kernel has it (ELOOP). */
const LINK_LIMIT = 40
/**
 * Directories held open at once for one path: each takes a descriptor of the agent, and links may make a path as long
 * as they like.
 */
const DEPTH_LIMIT = 256

export interface WithinOptions {
  /** What an absolute link means: `root` begins at the tree's own root (an image), `refuse` is an error (a volume). */
  readonly absoluteLinks: 'root' | 'refuse'
  /**
   * What lies above the tree's root: an error, or, as for a process whose root it is, the root itself
   * (path_resolution(7)).
   */
  readonly aboveRoot?: 'root'
  /** Directories that are missing are made with this mode. */
  readonly create?: number
  /** Called for each directory before something is looked up in it, to throw if that is not allowed. */
  readonly permit?: (directory: Stats) => void
}

/**
 * Opens a path within a tree, for reference only (O_PATH): its content is read or bound through `procPath`. The caller
 * closes it. NotFound; Forbidden: it would lead out of the tree, or is too deep.
 */
export async function openWithin(root: string, path: string, options: WithinOptions): Promise<FileHandle> {
  const held: FileHandle[] = [await open(root, O_PATH | constants.O_DIRECTORY)]
  const components = path.split('/').filter(isComponent)
  let links = 0
  try {
    while (components.length > 0) {
      const name = components.shift()!
      if (name === '..') {
        if (held.length === 1 && options.aboveRoot === 'root') continue
        if (held.length === 1) throw outside(path)
        await held.pop()!.close()
        continue
      }
      if (held.length > DEPTH_LIMIT)
        throw new GantryError('Forbidden', `"${path}" leads through more than ${DEPTH_LIMIT} directories`)
      options.permit?.(await held.at(-1)!.stat())
      const place = `${procPath(held.at(-1)!)}/${name}`
      const next = await openComponent(place, options.create)
      if (!(await next.stat()).isSymbolicLink()) {
        held.push(next)
        continue
      }
      await next.close()
      if (++links > LINK_LIMIT) throw new GantryError('Forbidden', `too many links in "${path}"`)
      const target = await readlink(place)
      if (target.startsWith('/')) {
        if (options.absoluteLinks === 'refuse') throw outside(path)
        for (const handle of held.splice(1)) await handle.close()
      }
      components.unshift(...target.split('/').filter(isComponent))
    }
    return held.pop()!
  } catch (thrown) {
    throw GantryError.from(thrown)
  } finally {
    for (const handle of held) await handle.close()
  }
}

/** Names what is held open, also for child processes. */
export function procPath(handle: FileHandle): string {
  return `/proc/${process.pid}/fd/${handle.fd}`
}

function isComponent(name: string): boolean {
  return name !== '' && name !== '.'
}

async function openComponent(place: string, create: number | undefined): Promise<FileHandle> {
  try {
    return await open(place, O_PATH | constants.O_NOFOLLOW)
  } catch (thrown) {
    if (create === undefined || (thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    return await makeComponent(place, create)
  }
}

/** A directory of this mode, whatever the umask; one that somebody else made first stays as it is. */
async function makeComponent(place: string, mode: number): Promise<FileHandle> {
  const made = await mkdir(place).then(
    () => true,
    (thrown: NodeJS.ErrnoException) => {
      if (thrown.code === 'EEXIST') return false
      throw thrown
    },
  )
  const handle = await open(place, O_PATH | constants.O_NOFOLLOW)
  try {
    if (made && (await handle.stat()).isDirectory()) await chmod(procPath(handle), mode)
    return handle
  } catch (thrown) {
    await handle.close()
    throw thrown
  }
}

function outside(path: string): GantryError {
  return new GantryError('Forbidden', `"${path}" leads out of its tree`)
}

/**
 * A small text file within a tree; '' if it is not there. InvalidArgument: not a regular file, or larger than `limit`
 * bytes.
 */
export async function readWithin(root: string, path: string, limit = 1024 * 1024): Promise<string> {
  let reference: FileHandle
  try {
    reference = await openWithin(root, path, { absoluteLinks: 'root' })
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound')) return ''
    throw thrown
  }
  try {
    const { size } = await regular(reference, path)
    if (size > limit) throw new GantryError('InvalidArgument', `"${path}" has ${size} bytes, more than ${limit}`)
    const file = await open(procPath(reference), constants.O_RDONLY)
    try {
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } finally {
    await reference.close()
  }
}

async function regular(handle: FileHandle, path: string): ReturnType<FileHandle['stat']> {
  const stat = await handle.stat()
  if (!stat.isFile()) throw new GantryError('InvalidArgument', `"${path}" is not a regular file`)
  return stat
}
