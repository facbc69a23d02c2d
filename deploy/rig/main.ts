/** The composition root of `gantry rig`. */
import { setMaxListeners } from 'node:events'
import { EXIT } from '../../proto/terminal/failure.ts'
import { endWithReader, processEnvironment } from '../../proto/terminal/process-environment.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { runRigProgram } from './program.ts'

const interrupt = new AbortController()
setMaxListeners(0, interrupt.signal)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupt.signal.aborted) {
      process.stderr.write('interrupted again: what is left is removed by the next `gantry rig` command\n')
      process.exit(EXIT.interrupted)
    }
    interrupt.abort(new GantryError('Cancelled', 'interrupted'))
  })
}
endWithReader()

// Open sockets would keep the process: it ends once the last write is through.
void runRigProgram(process.argv.slice(2), processEnvironment(interrupt.signal)).then((exit) =>
  process.stdout.write('', () => process.exit(exit)),
)
