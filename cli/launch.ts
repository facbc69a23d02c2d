/**
 * What `gantry` on PATH runs: loads the bundle beside it together with V8's compiled code for it, which saves most of the time that Node.js
 * would spend on reading a megabyte of source. The code cache is made by the first command and made anew when Node.js refuses it (another
 * version of it, or of the bundle); without it, or where it cannot be written, everything works all the same.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

const bundle = require.resolve('./gantry-cli.cjs')
const cache = `${bundle}.cache`

function readCache(): Buffer | undefined {
  try {
    return readFileSync(cache)
  } catch {
    return undefined // not made yet
  }
}

/** Written aside and renamed, since commands run at the same time. */
function writeCache(script: Script): void {
  try {
    writeFileSync(`${cache}.${process.pid}`, script.createCachedData())
    renameSync(`${cache}.${process.pid}`, cache)
  } catch (thrown) {
    // An installation that this user may not write to: every start is a little slower, which is no reason to fail a command that has succeeded.
    if (process.env.GANTRY_LOG_LEVEL === 'debug') process.stderr.write(`no code cache: ${(thrown as Error).message}\n`)
  }
}

const cachedData = readCache()
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${readFileSync(bundle, 'utf8')}\n})`, { filename: bundle, ...(cachedData === undefined ? {} : { cachedData }) })
if (cachedData === undefined || script.cachedDataRejected === true) process.once('exit', () => writeCache(script))

const program = { exports: {} }
const run = script.runInThisContext() as (...names: unknown[]) => void
run(program.exports, createRequire(bundle), program, bundle, dirname(bundle))
