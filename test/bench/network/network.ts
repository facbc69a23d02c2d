/**
 * `npm run bench -- network`: every file of this folder whose exports end in "Figures"; `network/NAME` runs one of
 * them.
 */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Figure } from '../figures.ts'

const FOLDER = dirname(fileURLToPath(import.meta.url))
const SELF = basename(fileURLToPath(import.meta.url))

/** Names of the folder's benchmarks. */
export const networkBenches: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.ts') && name !== SELF)
  .map((name) => name.slice(0, -'.ts'.length))
  .sort()

/** The figures of one; none for a file that only others use. */
export async function runNetworkBench(name: string): Promise<readonly Figure[]> {
  const module = (await import(`./${name}.ts`)) as Record<string, unknown>
  const figures: Figure[] = []
  for (const [key, measure] of Object.entries(module))
    if (key.endsWith('Figures')) figures.push(...(await (measure as () => Promise<readonly Figure[]>)()))
  return figures
}
