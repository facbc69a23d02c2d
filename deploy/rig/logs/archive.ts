/**
 * One file that tells all about a rig: what a report of a fault needs. Made of *items*, each a file of the archive; one
 * that cannot be had is named in the archive's README with the reason, and does not fail the rest.
 */
import { setMaxListeners } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { pack } from 'tar-stream'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { Semaphore } from '../../../proto/base/semaphore.ts'

export interface Item {
  /** In the archive: "machines/n1/log". */
  readonly path: string
  /** One line for the README. */
  readonly says: string
  /** The content, or items that only the answer of the cluster tells. */
  readonly collect: (signal: AbortSignal) => Promise<string | Uint8Array | readonly Item[]>
}

export interface Missing {
  readonly path: string
  readonly reason: string
}

export interface ArchiveReport {
  readonly file: string
  /** Paths of what is in it. */
  readonly items: readonly string[]
  readonly missing: readonly Missing[]
}

/** Milliseconds that one item may take. */
const ITEM_PATIENCE = 10_000
/** Bytes of one item at most; of a longer one the end is kept. */
export const ITEM_BYTES = 16 << 20
const AT_ONCE = 6

/**
 * Writes a .tar.gz of the items below a folder `name`, whole or not at all. Errors of the file itself (no such folder,
 * disk full) are thrown as they are by `GantryError.from`.
 */
export async function writeArchive(
  file: string,
  name: string,
  items: readonly Item[],
  { clock, signal: given }: { clock: Clock; signal: AbortSignal },
): Promise<ArchiveReport> {
  const signal = AbortSignal.any([given])
  setMaxListeners(0, signal) // one for each item that waits its turn
  const unfinished = `${file}.unfinished`
  const tar = pack()
  const output = createWriteStream(unfinished, { mode: 0o600 })
  const closed = new Promise<void>((resolve) => output.once('close', resolve))
  const written = pipeline(tar, createGzip(), output, { signal })
  const had: Item[] = []
  const missing: Missing[] = []
  const turns = new Semaphore(AT_ONCE)
  const add = (path: string, content: string | Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      tar.entry({ name: `${name}/${path}`, mtime: new Date(clock.now()), mode: 0o644 }, Buffer.from(content), (error) =>
        error ? reject(GantryError.from(error)) : resolve(),
      )
    })
  // tar-stream writes one entry after the other.
  let writing: Promise<void> = Promise.resolve()
  const collect = async (item: Item): Promise<void> => {
    const found = await turns.run(() => outcomeOf(item, signal), signal)
    if (found instanceof GantryError) {
      missing.push({ path: item.path, reason: found.message })
    } else if (typeof found === 'string' || found instanceof Uint8Array) {
      had.push(item)
      writing = writing.then(() => add(item.path, limited(found)))
      await writing
    } else await Promise.all(found.map(collect))
  }
  try {
    const collecting = (async () => {
      await Promise.all(items.map(collect))
      await add('README', readme(name, had, missing, clock.now()))
      tar.finalize()
    })()
    await Promise.all([collecting, written])
    await rename(unfinished, file)
  } catch (thrown) {
    tar.destroy()
    output.destroy()
    // Until then the file may still come into being.
    await closed
    await rm(unfinished, { force: true })
    throw signal.aborted ? GantryError.from(signal.reason, 'Cancelled') : GantryError.from(thrown)
  }
  return { file, items: had.map(({ path }) => path).sort(), missing }
}

async function outcomeOf(item: Item, signal: AbortSignal): Promise<Awaited<ReturnType<Item['collect']>> | GantryError> {
  const late = AbortSignal.timeout(ITEM_PATIENCE)
  const either = AbortSignal.any([signal, late])
  try {
    return await Promise.race([item.collect(either), aborted(either)])
  } catch (thrown) {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    return late.aborted
      ? new GantryError('DeadlineExceeded', `it took longer than ${ITEM_PATIENCE / 1000} s`)
      : GantryError.from(thrown)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(GantryError.from(signal.reason))
    signal.addEventListener('abort', () => reject(GantryError.from(signal.reason)), { once: true })
  })
}

function limited(content: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(content)
  return bytes.length <= ITEM_BYTES
    ? bytes
    : Buffer.concat([
        Buffer.from(`… ${bytes.length - ITEM_BYTES} bytes before this are left out\n`),
        bytes.subarray(-ITEM_BYTES),
      ])
}

function readme(name: string, had: readonly Item[], missing: readonly Missing[], now: number): string {
  const width = Math.max(0, ...had.map(({ path }) => path.length))
  const lines = [...had]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, says }) => `  ${path.padEnd(width)}  ${says}`)
  const lacking = missing.map(({ path, reason }) => `  ${path}: ${reason.replaceAll('\n', '\n    ')}`)
  return [
    `The rig "${name}", as it was at ${formatTime(now)}. Values of secrets and keys are left out.`,
    '',
    ...lines,
    '',
    ...(lacking.length === 0 ? [] : ['Could not be had:', '', ...lacking, '']),
  ].join('\n')
}
