/**
 * gantry-netcheck: runs inside the network namespace of a check (agent/streams/netcheck/network-checks.ts starts it
 * there), echoes, and tries what it is told. A line of JSON each way: in, a probe; out, first { ready: { port } }, then
 * { result }. Ends with its input. Arguments: the MTU, the token of the check, and the families it has, such as "4,6".
 */
import { createInterface } from 'node:readline'
import { systemClock } from '../../../proto/base/clock.ts'
import { Semaphore } from '../../../proto/base/semaphore.ts'
import { ECHO_PORT, startEcho } from './echo.ts'
import { runProbe, type Probe } from './probes.ts'

/** Probes under way at once. */
const MAX_CONCURRENT_PROBES = 64

export type ProgramMessage =
  | { readonly ready: { readonly port: number } }
  | { readonly result: Awaited<ReturnType<typeof runProbe>> }

async function main([mtu, token, families]: readonly string[]): Promise<void> {
  const tell = (message: ProgramMessage): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
  const around = { clock: systemClock, mtu: Number(mtu), token: token! }
  const slots = new Semaphore(MAX_CONCURRENT_PROBES)
  const { port } = await startEcho(
    ECHO_PORT,
    families!.split(',').map((family) => (family === '6' ? 6 : 4)),
  )
  tell({ ready: { port } })
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    slots
      .run(() => runProbe(JSON.parse(line) as Probe, around))
      .then(
        (result) => tell({ result }),
        (thrown: unknown) => {
          process.stderr.write(`gantry-netcheck: ${String(thrown)}\n`)
          process.exit(1)
        },
      )
  })
  lines.on('close', () => process.exit(0))
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  process.stderr.write(`gantry-netcheck: ${String(thrown)}\n`)
  process.exitCode = 1
})
