/**
 * What the control plane told of the network, kept for the agent's next run: `ranges.json`, and `view`, a file of
 * updates, each behind its length (4 bytes, big endian), written in a row and now and then anew. It has TLS keys in it
 * where the node is an ingress node, so it belongs on a tmpfs that only root reads.
 */
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { GantryError } from '../../proto/base/errors.ts'
import { decode, encode } from '../../proto/codec/wire.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { NetworkUpdate } from '../../proto/gen/types.ts'
import type { NodeRanges } from './contract.ts'

/** Bytes of changes after which the file is written anew, if that makes it at least half as large. */
const REWRITE_LEAST = 4 << 20

/** What the agent's next run finds of the network. Implementations: ViewFile; the simulation has one in memory. */
export interface KeptView {
  /**
   * Everything that was added; what a stop in the middle of adding left half is left out. Rejects, and forgets all, if
   * there is something else.
   */
  load(): Promise<NetworkUpdate[]>
  /** The ranges last put, unchecked. NotFound: there are none. */
  loadRanges(): Promise<unknown>
  putRanges(ranges: NodeRanges): Promise<void>
  /**
   * Adds updates; `whole` gives all there is in parts, when it is time to begin anew. Never fails: a view that cannot
   * be kept is told again by the control plane.
   */
  add(updates: readonly NetworkUpdate[], whole: () => Iterable<NetworkUpdate>): void
  /** Resolves when all that was added is written. */
  settled(): Promise<void>
}

export class ViewFile implements KeptView {
  readonly #path: string
  readonly #rangesPath: string
  readonly #logger: Logger
  #work: Promise<void> = Promise.resolve()
  #base = 0
  #appended = 0
  /** What stands in the file cannot be gone on with: the next time all is written. */
  #damaged = false

  /** `directory`: a tmpfs that only root reads. */
  constructor(directory: string, logger: Logger) {
    this.#path = join(directory, 'view')
    this.#rangesPath = join(directory, 'ranges.json')
    this.#logger = logger
  }

  async load(): Promise<NetworkUpdate[]> {
    let bytes: Buffer
    try {
      bytes = await readFile(this.#path)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw thrown
    }
    const updates: NetworkUpdate[] = []
    let at = 0
    while (at + 4 <= bytes.length && at + 4 + bytes.readUInt32BE(at) <= bytes.length) {
      const end = at + 4 + bytes.readUInt32BE(at)
      try {
        updates.push(decode('NetworkUpdate', bytes.subarray(at + 4, end)))
      } catch (thrown) {
        await rm(this.#path, { force: true })
        throw thrown
      }
      at = end
    }
    this.#base = at
    // What follows must not come after half a record.
    if (at < bytes.length) await writeFile(this.#path, bytes.subarray(0, at), { mode: 0o600 })
    return updates
  }

  async loadRanges(): Promise<unknown> {
    try {
      return JSON.parse(await readFile(this.#rangesPath, 'utf8')) as unknown
    } catch (thrown) {
      throw GantryError.from(thrown)
    }
  }

  async putRanges(ranges: NodeRanges): Promise<void> {
    await writeFile(`${this.#rangesPath}.new`, JSON.stringify(ranges), { mode: 0o600 })
    await rename(`${this.#rangesPath}.new`, this.#rangesPath)
  }

  add(updates: readonly NetworkUpdate[], whole: () => Iterable<NetworkUpdate>): void {
    this.#work = this.#work.then(async () => {
      try {
        if (!this.#damaged) await this.#append(updates)
        if (this.#damaged || this.#appended > Math.max(REWRITE_LEAST, this.#base)) await this.#rewrite(whole())
        this.#damaged = false
      } catch (thrown) {
        // Half a record may be there, and what is missing would be missing for ever.
        this.#damaged = true
        this.#logger.warn(
          { path: this.#path, err: GantryError.from(thrown) },
          'the view of the network cannot be kept for the next run',
        )
      }
    })
  }

  async settled(): Promise<void> {
    await this.#work
  }

  async #append(updates: readonly NetworkUpdate[]): Promise<void> {
    this.#appended += await write(this.#path, 'a', updates)
  }

  async #rewrite(updates: Iterable<NetworkUpdate>): Promise<void> {
    const fresh = `${this.#path}.new`
    this.#base = await write(fresh, 'w', updates)
    this.#appended = 0
    await rename(fresh, this.#path)
  }
}

/** Bytes written. Others have their turn between two updates. */
async function write(path: string, flags: 'a' | 'w', updates: Iterable<NetworkUpdate>): Promise<number> {
  const file = await open(path, flags, 0o600)
  let written = 0
  try {
    for (const update of updates) {
      const bytes = encode('NetworkUpdate', update)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      await file.appendFile(Buffer.concat([length, bytes]))
      written += 4 + bytes.length
      await setImmediate()
    }
  } finally {
    await file.close()
  }
  return written
}
