/**
 * Where people keep manifests: files, directories, standard input, addresses. All are read before anything is done with
 * one.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { withDeadline } from '../../base/deadline.ts'
import { GantryError } from '../../base/errors.ts'

const MANIFEST_FILE = /\.(ya?ml|json)$/
const DOWNLOAD_MS = 30_000

/** From where sources are read. */
export interface Reading {
  /** Relative paths begin here. */
  readonly cwd: string
  /** What "-" means. */
  readonly stdin: NodeJS.ReadableStream
  readonly clock: Clock
  /** Ends what is under way. */
  readonly signal: AbortSignal
}

/** A text with manifests, and what errors call it. */
export interface SourceText {
  readonly name: string
  readonly text: string
}

export async function readSources(
  sources: readonly string[],
  recursive: boolean,
  reading: Reading,
): Promise<SourceText[]> {
  return (await Promise.all(sources.map((source) => readSource(source, recursive, reading)))).flat()
}

async function readSource(source: string, recursive: boolean, reading: Reading): Promise<SourceText[]> {
  if (source === '-') return [{ name: 'stdin', text: await readInput(reading) }]
  if (/^https?:\/\//.test(source)) return [{ name: source, text: await download(source, reading) }]
  const file = path.resolve(reading.cwd, source)
  try {
    if (!(await stat(file)).isDirectory()) return [{ name: source, text: await readFile(file, 'utf8') }]
    const names = await filesIn(file, recursive)
    if (names.length === 0)
      throw new GantryError('InvalidArgument', `no .yaml, .yml or .json file in ${source}`, {
        details: [{ remedy: recursive ? '' : '-R looks into the directories in it too' }],
      })
    return await Promise.all(
      names.map(async (name) => ({
        name: path.join(source, name),
        text: await readFile(path.join(file, name), 'utf8'),
      })),
    )
  } catch (thrown) {
    if (thrown instanceof GantryError) throw thrown
    const missing = (thrown as NodeJS.ErrnoException).code === 'ENOENT'
    throw new GantryError(
      'InvalidArgument',
      missing ? `there is no file ${source}` : `cannot read ${source}: ${(thrown as Error).message}`,
      { cause: thrown },
    )
  }
}

async function filesIn(directory: string, recursive: boolean): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive })
  return entries
    .filter((entry) => !entry.isDirectory() && MANIFEST_FILE.test(entry.name))
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort()
}

async function readInput({ stdin }: Pick<Reading, 'stdin'>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

async function download(address: string, { signal, clock }: Reading): Promise<string> {
  return withDeadline(
    clock,
    DOWNLOAD_MS,
    signal,
    () => `${address} did not answer within ${DOWNLOAD_MS / 1000} s`,
    async (limited) => {
      try {
        const response = await fetch(address, { signal: limited })
        if (!response.ok)
          throw new GantryError('InvalidArgument', `${address} answered ${response.status} ${response.statusText}`)
        return await response.text()
      } catch (thrown) {
        if (thrown instanceof GantryError) throw thrown
        const cause = (thrown as Error).cause
        throw new GantryError(
          'InvalidArgument',
          `cannot read ${address}: ${cause instanceof Error ? cause.message : (thrown as Error).message}`,
          { cause: thrown },
        )
      }
    },
  )
}
