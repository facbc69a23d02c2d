/**
 * A directory whose files change all at once. The files stand in a directory of their own, `..data` is a link to it, and each name that users
 * see is a link through `..data`: one rename of that link changes them all, and who has the old directory open keeps it.
 *
 *   key ──▶ ..data/key          ..data ──▶ ..4f1c (the present version)
 */
import { chmod, chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Projection } from './projection.ts'

const DATA = '..data'

export interface Ownership {
  /** Group of files and directories, which may then read them; undefined: root's. */
  readonly gid: number | undefined
}

/** Makes the directory show exactly these files. Nothing is written if it does already. Interrupted, it shows the old ones or the new ones. */
export async function writeAtomically(directory: string, files: Projection, { gid }: Ownership): Promise<void> {
  const version = `..${fingerprint(files, gid)}`
  await mkdir(directory, { recursive: true, mode: 0o755 })
  const present = (await readdir(directory)).includes(DATA) ? await readlink(join(directory, DATA)) : undefined
  if (present !== version) {
    await writeVersion(join(directory, version), files, gid)
    await rm(join(directory, '..data_new'), { force: true })
    await symlink(version, join(directory, '..data_new'))
    await rename(join(directory, '..data_new'), join(directory, DATA))
  }
  const names = new Set([...files.keys()].map((path) => path.split('/')[0]!))
  for (const entry of await readdir(directory)) {
    if (entry.startsWith('..') ? entry !== DATA && entry !== version : !names.delete(entry)) await rm(join(directory, entry), { recursive: true, force: true })
  }
  for (const name of names) await symlink(join(DATA, name), join(directory, name))
  if (gid !== undefined) await chown(directory, 0, gid)
}

function fingerprint(files: Projection, gid: number | undefined): string {
  const hash = createHash('sha256').update(String(gid))
  for (const [path, { content, mode }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`\0${path}\0${mode}\0${content.length}\0`).update(content)
  return hash.digest('hex').slice(0, 16)
}

async function writeVersion(root: string, files: Projection, gid: number | undefined): Promise<void> {
  await rm(root, { recursive: true, force: true })
  await mkdir(root, { mode: 0o755 })
  for (const [path, { content, mode }] of files) {
    const place = join(root, path)
    await mkdir(dirname(place), { recursive: true, mode: 0o755 })
    await writeFile(place, content)
    if (gid !== undefined) await chown(place, 0, gid)
    await chmod(place, gid === undefined ? mode : mode | 0o040 | ((mode & 0o100) >> 3))
  }
}
