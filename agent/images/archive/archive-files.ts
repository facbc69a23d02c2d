/** An archive of images, as the readers of its two formats see it, and what they make of it. */

/** A part of the archive's file. */
export interface Part {
  /** Bytes from the file's beginning. */
  readonly offset: number
  readonly size: number
}

/** What the two formats tell: their images, and where each blob is, in the file or in memory. */
export interface ArchiveContents {
  readonly images: readonly { readonly name: string | undefined; readonly digest: string }[]
  readonly blobs: ReadonlyMap<string, Part | Buffer>
}

/** The archive as the readers of the formats see it. */
export interface ArchiveFiles {
  /** By path, without "./" before it; symbolic links are followed. */
  find(path: string): Part | undefined
  paths(): Iterable<string>
  /** A small file, whole. InvalidArgument if there is none or it is larger than `most` bytes. */
  read(path: string, most: number): Promise<Buffer>
  stream(part: Part): AsyncIterable<Buffer>
}
