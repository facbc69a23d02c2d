/**
 * Asks by http from where the asking must come from: a machine of the rig. A program in one text, run by the machine's
 * Node.js, since a machine need not have any other that asks; and one process that asks many times, since starting one
 * takes longer than asking.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { untilAborted } from './signals.ts'

export interface Answer {
  /** "http://10.87.0.2:80/", "pod/web-1" */
  readonly from: string
  /** 0: none came, and `body` says why. */
  readonly status: number
  readonly body: string
  /** Of a pod that was told to stop meanwhile, and is out of service: it need not have answered well. */
  readonly leaving?: boolean
}

export interface Answers {
  /** How often was asked. */
  readonly asked: number
  /** Those that differ; at least one. */
  readonly answers: readonly Answer[]
}

/**
 * How long to go on asking, and how often: milliseconds. A `span` of 0 asks once. An answer with another status than
 * the first ends it.
 */
export interface Burst {
  readonly span: number
  readonly every: number
}

export const ONCE: Burst = { span: 0, every: 0 }

/** Milliseconds for one answer. */
const HTTP_TIMEOUT_MS = 5_000
/** Different answers that one burst tells of. */
const DIFFERENT = 20

const PROGRAM = `
const [address, span, every] = process.argv.slice(1)
const { get } = require(address.startsWith('https:') ? 'node:https' : 'node:http')
const ask = () => new Promise((resolve) => {
  const failed = (error) => resolve({ status: 0, body: error.message })
  const request = get(address, { agent: false, timeout: ${HTTP_TIMEOUT_MS} }, (answer) => {
    let body = ''
    answer.setEncoding('utf8').on('data', (part) => (body += part)).on('end', () => resolve({ status: answer.statusCode, body })).on('error', failed)
  })
  request.on('timeout', () => request.destroy(new Error('no answer within ${HTTP_TIMEOUT_MS / 1_000} s'))).on('error', failed)
})
const run = async () => {
  const seen = new Map()
  const end = performance.now() + Number(span)
  for (let asked = 1; ; asked++) {
    const answer = await ask()
    if (seen.size < ${DIFFERENT}) seen.set(JSON.stringify(answer), answer)
    const other = [...seen.values()].some(({ status }) => status !== answer.status)
    if (other || performance.now() + Number(every) > end) return { asked, answers: [...seen.values()] }
    await new Promise((resolve) => setTimeout(resolve, Number(every)))
  }
}
run().then((found) => process.stdout.write(JSON.stringify(found)))
`

/** From a machine. A machine that is off answers nothing; no error. */
export async function probeFromMachine(
  rig: ScenarioRig,
  machine: string,
  address: string,
  from: string,
  burst: Burst,
  signal: AbortSignal,
): Promise<Answers> {
  try {
    const command = [rig.driver.installation.node, '-e', PROGRAM, address, String(burst.span), String(burst.every)]
    const { stdout } = await untilAborted(
      rig.machine(machine).run(command, { signal, timeout: burst.span + 4 * HTTP_TIMEOUT_MS }),
      signal,
    )
    const { asked, answers } = JSON.parse(stdout) as { asked: number; answers: { status: number; body: string }[] }
    return { asked, answers: answers.map((answer) => ({ from, ...answer })) }
  } catch (thrown) {
    if (signal.aborted) throw signal.reason
    return { asked: 1, answers: [{ from, status: 0, body: `${machine}: ${GantryError.from(thrown).message}` }] }
  }
}

/** From this process, once. */
export async function probeFromHost(address: string, signal: AbortSignal): Promise<Answers> {
  try {
    const response = await fetch(address, {
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(HTTP_TIMEOUT_MS)]),
    })
    return { asked: 1, answers: [{ from: address, status: response.status, body: await response.text() }] }
  } catch (thrown) {
    if (signal.aborted) throw signal.reason
    const { cause, message } = thrown as Error
    return {
      asked: 1,
      answers: [
        { from: address, status: 0, body: cause instanceof Error && cause.message !== '' ? cause.message : message },
      ],
    }
  }
}
