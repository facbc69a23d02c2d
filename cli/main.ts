/** The command line's composition root: hands the process's own world to runProgram. */
import { setMaxListeners } from 'node:events'
import { gantry } from './gantry.ts'
import { GantryError } from '../proto/base/errors.ts'
import { EXIT } from '../proto/terminal/failure.ts'
import { endWithReader, processEnvironment } from '../proto/terminal/process-environment.ts'
import { runProgram } from '../proto/terminal/program.ts'

const interrupt = new AbortController()
setMaxListeners(0, interrupt.signal) // one for each call under way
process.on('SIGINT', () => {
  if (interrupt.signal.aborted) end(EXIT.interrupted) // the second time at once
  interrupt.abort(new GantryError('Cancelled', 'interrupted'))
})
endWithReader()

/**
 * Whoever interrupted a shell's loop wants the loop to end: only a death by the signal itself tells the shell so, and
 * makes it begin a new line.
 */
function end(exit: number): void {
  if (exit !== EXIT.interrupted || !interrupt.signal.aborted) process.exit(exit)
  process.removeAllListeners('SIGINT')
  process.kill(process.pid, 'SIGINT')
}

// Open sockets and standard input would keep the process: it ends once the last write is through.
void runProgram(process.argv.slice(2), processEnvironment(interrupt.signal), gantry).then((exit) =>
  process.stdout.write('', () => end(exit)),
)
