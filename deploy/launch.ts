/**
 * What `dist/PROGRAM.cjs` runs: loads the bundle beside it, `PROGRAM-main.cjs`, together with V8's compiled code for
 * it, which saves most of the time that Node.js would spend on compiling megabytes of source. Each command of a program
 * has a code cache of its own, since a cache holds the functions that ran when it was made, and loading takes longer
 * the more it holds. A cache is written at the end of the first run, and again when V8 refuses it (another version of
 * Node.js); without one, or where none can be written, everything works all the same.
 */
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { Script } from 'node:vm'

/** The exit code of a wrong command line: what the word was is not known, so it is no name of a cache. */
const USAGE = 2
const CACHES = join(__dirname, 'cache')

function load(bundle: string, name: string): (...names: unknown[]) => void {
  const cache = cachePath(bundle, name)
  const cachedData = readCache(cache)
  // Bundles are plain ASCII (bundle.mjs sees to it), which takes less time to read than UTF-8.
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname) {${readFileSync(bundle, 'latin1')}\n})`,
    { filename: bundle, ...(cachedData === undefined ? {} : { cachedData }) },
  )
  if (cachedData === undefined || script.cachedDataRejected === true)
    process.once('exit', (code) => code === USAGE || writeCache(cache, script))
  return script.runInThisContext() as (...names: unknown[]) => void
}

/** V8 compares no more than the source's length: the time in the name tells builds apart. */
function cachePath(bundle: string, name: string): string {
  const command = process.argv[2]
  const suffix = command !== undefined && /^[a-z][a-z-]{0,30}$/.test(command) ? `.${command}` : ''
  return join(CACHES, `${name}${suffix}.${statSync(bundle, { bigint: true }).mtimeNs.toString(36)}`)
}

function readCache(cache: string): Buffer | undefined {
  try {
    return readFileSync(cache)
  } catch {
    return undefined // not made yet
  }
}

/** Written aside and renamed, since commands run at the same time. */
function writeCache(cache: string, script: Script): void {
  try {
    mkdirSync(CACHES, { recursive: true })
    writeFileSync(`${cache}.${process.pid}`, script.createCachedData())
    renameSync(`${cache}.${process.pid}`, cache)
  } catch (thrown) {
    // An installation that this user may not write to: every start is a little slower, which is no reason to fail a
    // command that has succeeded.
    if (process.env.GANTRY_LOG_LEVEL === 'debug') process.stderr.write(`no code cache: ${(thrown as Error).message}\n`)
  }
}

const name = basename(__filename, '.cjs')
const bundle = join(__dirname, `${name}-main.cjs`)
const program = { exports: {} }
load(bundle, name)(program.exports, createRequire(bundle), program, bundle, dirname(bundle))
