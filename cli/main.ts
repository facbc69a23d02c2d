/** The command line's composition root: hands the process's own world to runProgram. */
import { spawn } from 'node:child_process'
import { setMaxListeners } from 'node:events'
import { constants } from 'node:os'
import { GantryError } from '../proto/api/errors.ts'
import { systemClock } from '../proto/base/clock.ts'
import type { Environment } from './environment.ts'
import { EXIT } from './failure.ts'
import { runProgram } from './program.ts'

const interrupt = new AbortController()
setMaxListeners(0, interrupt.signal) // one for each call under way
process.on('SIGINT', () => {
  if (interrupt.signal.aborted) end(EXIT.interrupted) // the second time at once
  interrupt.abort(new GantryError('Cancelled', 'interrupted'))
})

// A reader that has seen enough, as in `gantry get pods | head -1`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

function runOnTerminal(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (exit, signal) => resolve(signal === null ? exit ?? 1 : 128 + constants.signals[signal]))
  })
}

const environment: Environment = {
  env: process.env,
  cwd: process.cwd(),
  get stdin() {
    return process.stdin // opened only by commands that read it
  },
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  signal: interrupt.signal,
  loadConnect: async () => (await import('../proto/api/rpc.ts')).connect,
  onResize(call) {
    process.stdout.on('resize', call)
    return () => process.stdout.off('resize', call)
  },
  runOnTerminal,
}

/** Whoever interrupted a shell's loop wants the loop to end: only a death by the signal itself tells the shell so, and makes it begin a new line. */
function end(exit: number): void {
  if (exit !== EXIT.interrupted || !interrupt.signal.aborted) process.exit(exit)
  process.removeAllListeners('SIGINT')
  process.kill(process.pid, 'SIGINT')
}

// Open sockets and standard input would keep the process: it ends once the last write is through.
void runProgram(process.argv.slice(2), environment).then((exit) => process.stdout.write('', () => end(exit)))
