/**
 * The rules by which a layer's entries become files, whatever the archive says: every path is made canonical within the
 * root, whiteouts take overlayfs' form, and what would leave the root or forge overlayfs' own marks is refused.
 * https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md, https://docs.kernel.org/filesystems/overlayfs.html
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { readable, type TarEntry } from './tar-entry.ts'
import { UnpackBudget } from './unpack-budget.ts'

/**
 * What the layers below have at a path, as a container would see it; paths are byte strings without a slash at either
 * end.
 */
export interface LowerLayers {
  lookup(path: string): Promise<LowerNode | undefined>
}

export type LowerNode =
  | {
      readonly type: 'directory'
      readonly mode: number
      readonly uid: number
      readonly gid: number
      readonly mtime: string
    }
  | { readonly type: 'symlink'; readonly target: string; readonly hostPath: string }
  | { readonly type: 'other'; readonly hostPath: string }

type Node =
  | { readonly type: 'directory'; readonly entry: TarEntry }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'other' }

const OTHER: Node = { type: 'other' }
const OPAQUE = '.wh..wh..opq'
const WHITEOUT = '.wh.'
/** Leftovers of aufs, which the layer format inherited: no files of the image. */
const AUFS = '.wh..wh.'
/** As many as the kernel follows. */
const MOST_LINKS = 40
const LONGEST_PATH = 4095
const LONGEST_NAME = 255
/**
 * Directories within each other: what a path of LONGEST_PATH could have is a trick, and every one of them may have to
 * be made.
 */
const DEEPEST = 255
/** Of what is remembered of all entries: paths, targets of links, attributes of directories. */
const MOST_BYTES = 256 << 20
/** Bits of a device's numbers: makedev(3). */
const LARGEST_MAJOR = 0xfff
const LARGEST_MINOR = 0xfffff

const DIRECTORY_DEFAULTS = {
  type: 'directory',
  link: '',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: '0',
  size: 0,
  major: 0,
  minor: 0,
  xattrs: new Map<string, string>(),
} as const

export class LayerTree {
  readonly #lower: LowerLayers
  readonly #nodes = new Map<string, Node>()
  readonly #whiteouts = new Set<string>()
  readonly #opaque = new Set<string>()
  readonly #budget: UnpackBudget
  #bytes = 0

  constructor(lower: LowerLayers, budget: UnpackBudget = new UnpackBudget()) {
    this.#lower = lower
    this.#budget = budget
  }

  /**
   * The entries to write for one of the archive: missing parents first. None for a whiteout, which is kept for the end.
   * InvalidArgument names the entry and the rule it breaks.
   */
  async add(raw: TarEntry): Promise<readonly TarEntry[]> {
    this.#count(raw)
    const names = splitPath(raw.path, (reason) => refuse(raw, reason))
    const name = names.pop()
    if (name === undefined) {
      if (raw.type !== 'directory') refuse(raw, 'is the root, yet no directory')
      return [this.#addDirectory({ ...raw, path: '.', xattrs: keptXattrs(raw) })]
    }
    const written: TarEntry[] = []
    const parent = await this.#resolve(names, raw, written)
    if (name.startsWith(WHITEOUT)) {
      this.#addWhiteout(parent, name, raw)
      return written
    }
    const path = join(parent, name)
    const entry = { ...raw, path, xattrs: keptXattrs(raw) }
    const known = this.#nodes.get(path)
    if (entry.type === 'directory') {
      if (known !== undefined && known.type !== 'directory') refuse(raw, 'is there twice, once as a directory')
      return [...written, this.#addDirectory(entry)]
    }
    if (known !== undefined) refuse(raw, 'is there twice')
    this.#nodes.set(path, entry.type === 'symlink' ? { type: 'symlink', target: entry.link } : OTHER)
    switch (entry.type) {
      case 'symlink':
        if (entry.link === '' || entry.link.length > LONGEST_PATH || entry.link.includes('\0'))
          refuse(raw, 'is a symbolic link without a proper target')
        break
      case 'hardlink':
        return [...written, { ...entry, link: await this.#linkTarget(entry, raw) }]
      case 'character':
        if (entry.major === 0 && entry.minor === 0) refuse(raw, 'is the device 0/0, which stands for a removed file')
        checkDevice(raw)
        break
      case 'block':
        checkDevice(raw)
        break
      case 'fifo':
      case 'file':
        break
    }
    return [...written, entry]
  }

  /** The entries to write after all others, whiteouts among them, and the directories that hide what is below them. */
  async finish(): Promise<{ readonly entries: readonly TarEntry[]; readonly opaque: readonly string[] }> {
    const entries: TarEntry[] = []
    // A removed directory that the layer makes anew is one that hides what was in it.
    for (const path of this.#whiteouts) if (this.#nodes.get(path)?.type === 'directory') this.#opaque.add(path)
    const opaque: string[] = []
    for (const path of this.#opaque) {
      const node = this.#nodes.get(path)
      if (node?.type !== 'directory' || (await this.#lower.lookup(path === '.' ? '' : path))?.type !== 'directory')
        continue
      opaque.push(path)
      entries.push({ ...node.entry, xattrs: new Map([...node.entry.xattrs, ['trusted.overlay.opaque', 'y']]) })
    }
    for (const path of this.#whiteouts) {
      // A mark in a directory that merges nothing would show in listings.
      if (this.#nodes.has(path) || this.#hidden(path) || (await this.#lower.lookup(path)) === undefined) continue
      entries.push({ ...DIRECTORY_DEFAULTS, path, type: 'character' })
    }
    return { entries, opaque }
  }

  /** What an archive makes the agent remember is bounded, however well it is compressed. */
  #count({ path, link, xattrs }: TarEntry): void {
    this.#remember(path.length + link.length)
    for (const [name, value] of xattrs) this.#remember(name.length + value.length)
    this.#budget.takeFiles(1)
  }

  #remember(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > MOST_BYTES)
      throw new GantryError('InvalidArgument', `has more than ${MOST_BYTES} bytes of paths and attributes`)
  }

  #addDirectory(entry: TarEntry): TarEntry {
    this.#nodes.set(entry.path, { type: 'directory', entry })
    return entry
  }

  #addWhiteout(parent: string, name: string, raw: TarEntry): void {
    if (name === OPAQUE) return void this.#opaque.add(parent === '' ? '.' : parent)
    if (name.startsWith(AUFS)) return
    const removed = name.slice(WHITEOUT.length)
    if (removed === '' || removed === '.' || removed === '..') refuse(raw, 'removes nothing that could be there')
    this.#whiteouts.add(join(parent, removed))
  }

  /** Whether a directory of this layer above the path hides the layers below. */
  #hidden(path: string): boolean {
    if (this.#opaque.has('.')) return true
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
      if (this.#opaque.has(path.slice(0, slash))) return true
    return false
  }

  /**
   * The canonical path of a directory; those on the way that this layer has not named yet are added to `written`, as
   * the layers below have them.
   */
  async #resolve(names: readonly string[], raw: TarEntry, written: TarEntry[] | undefined): Promise<string> {
    let path = ''
    let links = 0
    const ahead = [...names]
    while (ahead.length > 0) {
      const name = ahead.shift()!
      if (name === '..') {
        if (path === '') refuse(raw, 'leaves the root by a symbolic link in its path')
        path = path.slice(0, Math.max(0, path.lastIndexOf('/')))
        continue
      }
      if (name.startsWith(WHITEOUT)) refuse(raw, 'is within a removed file')
      const next = join(path, name)
      const node = this.#nodes.get(next) ?? (await this.#lower.lookup(next))
      if (node?.type === 'symlink') {
        if (++links > MOST_LINKS) refuse(raw, 'has a loop of symbolic links in its path')
        if (node.target.startsWith('/')) path = ''
        ahead.unshift(...node.target.split('/').filter((part) => part !== '' && part !== '.'))
        continue
      }
      if (this.#nodes.get(next)?.type === 'other') refuse(raw, `is within "${readable(next)}", which is no directory`)
      if (written !== undefined && !this.#nodes.has(next)) {
        const below = node?.type === 'directory' && 'mode' in node ? node : { mtime: raw.mtime }
        const entry: TarEntry = { ...DIRECTORY_DEFAULTS, ...below, path: next, type: 'directory' }
        this.#budget.takeFiles(1)
        this.#remember(next.length)
        this.#nodes.set(next, { type: 'directory', entry })
        written.push(entry)
      }
      path = next
    }
    return path
  }

  /** A target of this layer by its path within the layer, one of a layer below by its path on the machine. */
  async #linkTarget(entry: TarEntry, raw: TarEntry): Promise<string> {
    const names = splitPath(entry.link, (reason) =>
      refuse(raw, `is a hard link to "${readable(entry.link)}", which ${reason}`),
    )
    const name = names.pop()
    const target = name === undefined ? '' : join(await this.#resolve(names, raw, undefined), name)
    const node = target === entry.path ? undefined : this.#nodes.get(target)
    if (node !== undefined && node.type !== 'directory') return target
    const below =
      node === undefined && target !== '' && target !== entry.path ? await this.#lower.lookup(target) : undefined
    if (below === undefined || below.type === 'directory')
      return refuse(raw, `is a hard link to "${readable(entry.link)}", which is not there or is a directory`)
    return below.hostPath
  }
}

function checkDevice(raw: TarEntry): void {
  if (raw.major > LARGEST_MAJOR || raw.minor > LARGEST_MINOR)
    refuse(raw, `is the device ${raw.major}/${raw.minor}, which no machine has`)
}

function refuse(entry: TarEntry, reason: string): never {
  const path = readable(entry.path)
  throw new GantryError('InvalidArgument', `entry "${path}" ${reason}`, {
    details: [{ field: 'entry', value: path, message: reason }],
  })
}

function splitPath(path: string, refused: (reason: string) => never): string[] {
  if (path.startsWith('/')) refused('is an absolute path')
  if (path.length > LONGEST_PATH) refused(`is longer than ${LONGEST_PATH} bytes`)
  if (path.includes('\0') || path === '') refused('is no path')
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  if (names.length > DEEPEST) refused(`is nested deeper than ${DEEPEST} directories`)
  for (const name of names) {
    if (name === '..') refused('has ".." in its path')
    if (name.length > LONGEST_NAME) refused(`has a name longer than ${LONGEST_NAME} bytes`)
  }
  return names
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

/**
 * File capabilities and the user's own attributes. Others (security.selinux and the like) speak of the machine that
 * built the image and are left out; those that steer overlayfs itself are refused.
 */
function keptXattrs(entry: TarEntry): ReadonlyMap<string, string> {
  for (const name of entry.xattrs.keys())
    if (/^(trusted|user)\.overlay\./.test(name))
      refuse(entry, `has the attribute ${readable(name)}, which steers the overlay file system`)
  return new Map([...entry.xattrs].filter(([name]) => name === 'security.capability' || name.startsWith('user.')))
}
