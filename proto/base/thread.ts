/** Threads of a program: their code is a bundle beside the program's own, or, where tests run from the source, that. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

export interface ThreadCode {
  /** The caller's `import.meta.dirname`. */
  readonly folder: string
  /** A file in that folder, as main.ts. */
  readonly source: string
  /** The bundle that deploy/bundle.mjs makes of it, in the folder of the program's bundle. */
  readonly bundle: string
}

export function startThread(
  { folder, source, bundle }: ThreadCode,
  options: Omit<WorkerOptions, 'eval' | 'execArgv'>,
): Worker {
  const path = join(folder, source)
  const common = { ...options, execArgv: [] }
  return existsSync(path)
    ? new Worker(fromSource(path), { ...common, eval: true })
    : new Worker(join(folder, bundle), common)
}

/** Threads do not take over the loader that TypeScript needs. */
function fromSource(path: string): string {
  const folder = dirname(createRequire(path).resolve('tsx/package.json'))
  const [loader, source] = [join(folder, 'dist/esm/api/index.mjs'), path].map((file) =>
    JSON.stringify(pathToFileURL(file).href),
  ) as [string, string]
  return `import(${loader}).then(({ tsImport }) => tsImport(${source}, ${source})).catch((error) => { setImmediate(() => { throw error }) })`
}
