/**
 * V8's compiled code for a bundle, in a file: beside the bundle where that folder can be written to, else among what
 * the user keeps. It is code that a program runs, so a file that another user could have written is not read (see
 * guarded-file.ts); and it is used for exactly the bundle that it was made of, which is the same file, unchanged since,
 * or one of the same content.
 */
import type { Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { readGuarded, userCacheFolder, writeGuarded, type Guard } from '../proto/base/guarded-file.ts'

/** Runs of a command that write what they have compiled: one alone may have done little, such as to show its help. */
const RUNS = 3
/** Bytes at the end of a file that say of what it is; V8's own come first, since it copies what is not aligned. */
export const LABEL_SIZE = 512

const NODE = `${process.version} ${process.arch}`

interface Label {
  /** Of Node.js: V8 refuses what another has compiled, after it has been read. */
  readonly node: string
  /** The bundle's file, and its content. */
  readonly file: string
  readonly content: string
  /** How many runs have added to it. */
  readonly runs: number
}

export class CodeCache {
  readonly #bundle: string
  /** Of the command's, and, where there is none yet, of what all commands have in common. */
  readonly #name: string
  readonly #common: string
  readonly #guard: Guard
  readonly #text: string
  readonly #file: string
  #content: string | undefined
  /** Of the cache that is in use. */
  #label: Label | undefined
  #isWritten = false

  /** `text` and `stats` of the bundle; the names of the program and of the command that is run. */
  constructor(bundle: string, program: string, command: string | undefined, text: string, stats: Stats) {
    const { dev, ino, size, mtimeMs, ctimeMs, uid } = stats
    // Whatever changes a file changes its ctime.
    this.#file = [dev, ino, size, mtimeMs, ctimeMs].join(' ')
    this.#text = text
    this.#guard = { owner: uid, isPublic: true }
    this.#bundle = bundle
    this.#common = program
    this.#name = command === undefined ? program : `${program}.${command}`
  }

  /** The code, if there is any of this bundle. */
  read(): Buffer | undefined {
    return this.#read(this.#name) ?? this.#read(this.#common)
  }

  #read(name: string): Buffer | undefined {
    for (const folder of this.#folders()) {
      const bytes = readGuarded(join(folder, name), this.#guard)
      const label = bytes === undefined ? undefined : labelOf(bytes)
      if (label === undefined || !this.#isOfBundle(label)) continue
      if (name === this.#name) this.#label = label
      return bytes!.subarray(0, bytes!.length - LABEL_SIZE)
    }
    return undefined
  }

  /** V8 does not take what was read: it was started with other flags. */
  reject(): void {
    this.#label = undefined
  }

  /** Whether this run is to write what it has compiled by now. A failure shows little of what a command does. */
  isWanted(isSuccess: boolean): boolean {
    return !this.#isWritten && (this.#label === undefined || (isSuccess && this.#label.runs < RUNS))
  }

  /** Why it could not be written, if it could not. */
  write(code: Buffer): Error | undefined {
    this.#isWritten = true
    const label: Label = {
      node: NODE,
      file: this.#file,
      content: this.#contentDigest(),
      runs: (this.#label?.runs ?? 0) + 1,
    }
    const bytes = Buffer.concat([code, Buffer.from(JSON.stringify(label).padEnd(LABEL_SIZE))])
    let failure: Error | undefined
    for (const folder of this.#folders()) {
      failure = writeGuarded(join(folder, this.#name), bytes, this.#guard)
      if (failure === undefined) return undefined
    }
    return failure
  }

  /** In their order; the second is not looked for where the first will do. */
  *#folders(): Generator<string, void, undefined> {
    const home = dirname(this.#bundle)
    yield join(home, 'cache')
    const own = userCacheFolder(process.env)
    if (own !== undefined) yield join(own, 'code', encodeURIComponent(home).slice(-200))
  }

  #isOfBundle({ node, file, content }: Label): boolean {
    return node === NODE && (file === this.#file || content === this.#contentDigest())
  }

  #contentDigest(): string {
    // Loaded only where it is needed: most programs find the very file.
    const { createHash } = process.getBuiltinModule('node:crypto')
    return (this.#content ??= createHash('sha256').update(this.#text, 'latin1').digest('base64url'))
  }
}

function labelOf(bytes: Buffer): Label | undefined {
  try {
    return JSON.parse(bytes.subarray(-LABEL_SIZE).toString()) as Label
  } catch {
    return undefined // damaged
  }
}
