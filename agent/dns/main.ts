/**
 * The resolver's thread (dist/gantry-resolver.cjs): builds the resolver and does what the agent's main thread asks for.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { ResolverCore } from './resolver-core.ts'
import type { ResolverReply, ResolverRequest, ResolverSettings } from './worker-messages.ts'

const port = parentPort
if (port === null)
  throw new GantryError('FailedPrecondition', 'the resolver is a thread of the agent and no program of its own')
const send = (reply: ResolverReply): void => port.postMessage(reply)
const log =
  (level: 'info' | 'warn') =>
  (fields: Record<string, unknown>, message: string): void => {
    const { err, ...rest } = fields
    send({ kind: 'log', level, fields: err instanceof Error ? { ...rest, cause: err.message } : rest, message })
  }
const core = new ResolverCore({
  settings: workerData as ResolverSettings,
  clock: systemClock,
  random: systemRandom,
  logger: { info: log('info'), warn: log('warn') } as never,
})

let turn: Promise<void> = Promise.resolve()
port.on('message', ({ number, call }: ResolverRequest) => {
  turn = turn.then(async () => {
    try {
      send({ kind: 'done', number, value: await core.call(call) })
    } catch (thrown) {
      const { code, message } = GantryError.from(thrown)
      send({ kind: 'failed', number, code, message })
    }
    if (call.kind === 'stop') port.close()
  })
})
