/**
 * A directory whose files change all at once. The files stand in a directory of their own, `..data` is a link to it,
 * and each name that users see is a link through `..data`: one rename of that link changes them all, and who has the
 * old directory open keeps it.
 *
 *   key ──▶ ..data/key          ..data ──▶ ..4f1c (the present version)
 *
 * It is in memory: each call takes some microseconds, and waiting for another thread would take longer than the work.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Projection } from './projection.ts'

const DATA = '..data'
/** The link that takes its place. */
const NEXT = '..data_new'

export interface Ownership {
  /** Group of files and directories, which may then read them; undefined: root's. */
  readonly gid: number | undefined
}

/**
 * Makes the directory show exactly these files. Nothing is written if it does already. Interrupted, it shows the old
 * ones or the new ones.
 */
export function writeAtomically(directory: string, files: Projection, { gid }: Ownership): void {
  const version = `..${fingerprint(files, gid)}`
  const entries = mkdirSync(directory, { recursive: true, mode: 0o755 }) === undefined ? readdirSync(directory) : []
  const present = entries.includes(DATA) ? readlinkSync(join(directory, DATA)) : undefined
  if (present !== version) {
    // What a run that was interrupted has left.
    for (const left of [version, NEXT]) if (entries.includes(left)) rmSync(join(directory, left), { recursive: true })
    writeVersion(join(directory, version), files, gid)
    symlinkSync(version, join(directory, NEXT))
    renameSync(join(directory, NEXT), join(directory, DATA))
  }
  const names = new Set([...files.keys()].map((path) => path.split('/')[0]!))
  for (const entry of entries) {
    const stays = entry.startsWith('..') ? entry === DATA || entry === version : names.delete(entry)
    if (!stays) rmSync(join(directory, entry), { recursive: true, force: true })
  }
  for (const name of names) symlinkSync(join(DATA, name), join(directory, name))
  if (gid !== undefined) chownSync(directory, 0, gid)
}

/** True if the directory shows one version or another. */
export function isPopulated(directory: string): boolean {
  return existsSync(join(directory, DATA))
}

function fingerprint(files: Projection, gid: number | undefined): string {
  const hash = createHash('sha256').update(String(gid))
  for (const [path, { content, mode }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`\0${path}\0${mode}\0${content.length}\0`).update(content)
  return hash.digest('hex').slice(0, 16)
}

function writeVersion(root: string, files: Projection, gid: number | undefined): void {
  mkdirSync(root, { mode: 0o755 })
  for (const [path, { content, mode }] of files) {
    const place = join(root, path)
    if (path.includes('/')) mkdirSync(dirname(place), { recursive: true, mode: 0o755 })
    writeFileSync(place, content)
    if (gid !== undefined) chownSync(place, 0, gid)
    chmodSync(place, gid === undefined ? mode : mode | 0o040 | ((mode & 0o100) >> 3))
  }
}
