/** The thread that reads YAML (dist/gantry-yaml.cjs). It answers each text before it takes the next. */
import { parentPort } from 'node:worker_threads'
import { GantryError } from '../../../proto/base/errors.ts'
import { HttpError } from '../status.ts'
import type { YamlReply, YamlRequest } from './messages.ts'
import { readAsJson } from './read-as-json.ts'

const port = parentPort
if (port === null)
  throw new GantryError(
    'FailedPrecondition',
    'this is a thread of the controller, which reads YAML, and no program of its own',
  )

port.on('message', ({ text }: YamlRequest) => port.postMessage(replyTo(text)))

function replyTo(text: string): YamlReply {
  try {
    return { is: 'read', ...readAsJson(text) }
  } catch (thrown) {
    const { code, message } = GantryError.from(thrown)
    const [status, reason] = thrown instanceof HttpError ? [thrown.status, thrown.reason] : [500, 'InternalError']
    return { is: 'refused', status, reason, message, code }
  }
}
