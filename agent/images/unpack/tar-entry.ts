/**
 * An entry of a tar archive. Paths and values are byte strings: one character (0–255) per byte, as file names on Linux
 * are bytes in no particular encoding, and extended attributes are not text at all.
 */
export type EntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo'

export interface TarEntry {
  readonly path: string
  readonly type: EntryType
  /** Of a hard or symbolic link, else ''. */
  readonly link: string
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Seconds since 1970, in decimal, with a fraction if the archive has one. */
  readonly mtime: string
  /** Bytes of content that follow; 0 unless it is a file. */
  readonly size: number
  readonly major: number
  readonly minor: number
  /** Name → value. */
  readonly xattrs: ReadonlyMap<string, string>
}

/** A byte string for people. */
export function readable(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString()
}

export const BLOCK = 512

/** Bytes with padding to whole blocks. */
export function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}
