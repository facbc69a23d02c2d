/**
 * What `dist/PROGRAM.cjs` runs: loads the bundle beside it, `PROGRAM-main.cjs`, together with V8's compiled code for
 * it, which saves most of the time that Node.js would spend on compiling megabytes of source. Each command of a program
 * has a code cache of its own, since a cache holds the functions that ran before it was made, and loading takes longer
 * the more it holds. Without one, or where none can be written, everything works all the same.
 */
import { closeSync, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Script } from 'node:vm'
import { CodeCache } from './code-cache.ts'

/** The exit code of a wrong command line: what the word was is not known, so it is no name of a cache. */
const USAGE = 2
/** Milliseconds after which a program has done most of what it does at all. */
const LONG_MS = 10_000

function load(bundle: string, name: string): (...names: unknown[]) => void {
  const { text, stats } = readBundle(bundle)
  const cache = new CodeCache(bundle, name, commandWord(), text, stats)
  const cachedData = cache.read()
  const script = new Script(text, { filename: bundle, ...(cachedData === undefined ? {} : { cachedData }) })
  if (script.cachedDataRejected === true) cache.reject()
  const keep = (isSuccess: boolean): void => {
    if (!cache.isWanted(isSuccess)) return
    const failure = cache.write(script.createCachedData())
    if (failure !== undefined && process.env.GANTRY_LOG_LEVEL === 'debug')
      process.stderr.write(`no code cache: ${failure.message}\n`)
  }
  process.once('exit', (code) => code === USAGE || keep(code === 0))
  // What goes on for long may be ended by a signal.
  setTimeout(() => keep(true), LONG_MS).unref()
  return script.runInThisContext() as (...names: unknown[]) => void
}

/** The bundle, which is an expression for a function, and what the system says of the file that it was read from. */
function readBundle(bundle: string): { readonly text: string; readonly stats: Stats } {
  const descriptor = openSync(bundle, 'r')
  try {
    // Bundles are plain ASCII (bundle.mjs sees to it), which takes less time to read than UTF-8.
    return { stats: fstatSync(descriptor), text: readFileSync(descriptor, 'latin1') }
  } finally {
    closeSync(descriptor)
  }
}

/** The word that is the command's, if there is one. */
function commandWord(): string | undefined {
  const command = process.argv[2]
  return command !== undefined && /^[a-z][a-z-]{0,30}$/.test(command) ? command : undefined
}

const name = basename(__filename, '.cjs')
const bundle = join(__dirname, `${name}-main.cjs`)
const program = { exports: {} }
load(bundle, name)(program.exports, require, program, bundle, dirname(bundle))
