/** Looks where a probe says. What is seen is a value; that nothing could be seen is one too, with the reason. */
import { findValues } from '../../../proto/base/jsonpath/jsonpath.ts'
import { encodeJson } from '../../../proto/codec/codec.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { isReady } from '../../../proto/objects/pod.ts'
import type { AnyResource, JsonValue, Pod } from '../../../proto/gen/types.ts'
import { probeFromHost, probeFromMachine, type Answer, type Answers, type Burst } from './http-prober.ts'
import { listObjects } from './object-view.ts'
import type { NamedPath, Probe } from './scenario.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { untilAborted } from './signals.ts'
import type { Remembered } from './variables.ts'

export type Observation =
  | { readonly is: 'objects'; readonly objects: readonly AnyResource[] }
  | { readonly is: 'output'; readonly code: number; readonly text: string; readonly stderr: string }
  | { readonly is: 'answers'; readonly asked: number; readonly answers: readonly Answer[] }
  /** No controller, machine or pod answered. */
  | { readonly is: 'nothing'; readonly of: Probe['is']; readonly error: GantryError }

/** Errors that mean that nothing answers, which may pass. */
const PASSING = ['Unavailable', 'DeadlineExceeded', 'FailedPrecondition', 'NotFound'] as const

export interface LookOptions {
  readonly namespace: string
  /** Milliseconds for the whole look. */
  readonly within: number
  /** Whether machines ask by http once or for a while. */
  readonly burst: Burst
  readonly signal: AbortSignal
}

/** References are filled in already. Throws what will not pass by itself. */
export async function runProbe(rig: ScenarioRig, probe: Probe, options: LookOptions): Promise<Observation> {
  const { namespace, within, signal } = options
  try {
    switch (probe.is) {
      case 'objects':
        return { is: 'objects', objects: await untilAborted(listObjects(rig.client, probe.objects), signal) }
      case 'command':
        return outputOf(await runCommand(rig, probe, namespace, within, signal))
      case 'text':
        return { is: 'output', code: 0, text: probe.text, stderr: '' }
      case 'gantry':
        return outputOf(await untilAborted(rig.gantry(['-n', namespace, ...probe.words]), signal))
      case 'logs':
        return outputOf(
          await untilAborted(
            rig.gantry([
              '-n',
              namespace,
              'logs',
              probe.object,
              ...(probe.container === undefined ? [] : ['-c', probe.container]),
            ]),
            signal,
          ),
        )
      case 'http':
        return { is: 'answers', ...(await ask(rig, probe, options)) }
    }
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (signal.aborted || !GantryError.is(error, ...PASSING)) throw error
    return { is: 'nothing', of: probe.is, error }
  }
}

interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function outputOf({ code, stdout, stderr }: Output): Observation {
  return { is: 'output', code, text: stdout.replace(/\n$/, ''), stderr: stderr.trim() }
}

const EXIT_CODES = Array.from({ length: 256 }, (_, code) => code)

function runCommand(
  rig: ScenarioRig,
  { place, command }: Probe & { is: 'command' },
  namespace: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Output> {
  const words = typeof command === 'string' ? ['sh', '-c', command] : command
  const options = { timeout, signal, allow: EXIT_CODES }
  switch (place.is) {
    case 'host':
      return run(words[0]!, words.slice(1), options)
    case 'machine':
      return untilAborted(rig.machine(place.name).run(words, options), signal)
    case 'pod':
      return untilAborted(rig.gantry(['-n', namespace, 'exec', '-q', place.object, '--', ...words]), signal)
  }
}

async function ask(
  rig: ScenarioRig,
  { address, from }: Probe & { is: 'http' },
  { namespace, burst, signal }: LookOptions,
): Promise<Answers> {
  switch (from.is) {
    case 'host':
      return probeFromHost(address, signal)
    case 'machine':
      return probeFromMachine(rig, from.name, address, address, burst, signal)
    case 'pods': {
      const pods = await readyPods(rig, namespace, from.selector, signal)
      const all = await Promise.all(
        pods.map((pod) =>
          probeFromMachine(rig, pod.spec.nodeName!, `http://${pod.status.podIP}${address}`, nameOf(pod), burst, signal),
        ),
      )
      const still = new Set(
        (await readyPods(rig, namespace, from.selector, signal)).map(({ metadata }) => metadata.uid),
      )
      return {
        asked: all.reduce((sum, { asked }) => sum + asked, 0),
        answers: all.flatMap(({ answers }, index) =>
          answers.map((answer) => (still.has(pods[index]!.metadata.uid) ? answer : { ...answer, leaving: true })),
        ),
      }
    }
  }
}

async function readyPods(
  { client }: ScenarioRig,
  namespace: string,
  selector: string,
  signal: AbortSignal,
): Promise<Pod[]> {
  const objects = await untilAborted(
    listObjects(client, { kind: 'Pod', name: undefined, selector, fields: undefined, namespace }),
    signal,
  )
  return objects.filter((object): object is Pod => object.kind === 'Pod' && !isDeleting(object) && isReady(object))
}

/** What the paths find in an object: a list for each. */
export function valuesAt(object: AnyResource, paths: readonly NamedPath[]): JsonValue[][] {
  const json = encodeJson(object)
  return paths.map(({ path }) => findValues(path, json, json))
}

export function nameOf({ kind, metadata }: AnyResource): string {
  return `${kind.toLowerCase()}/${metadata.name}`
}

/** What is remembered of a sight, and compared later; undefined if there was nothing to see. */
export function essenceOf(sight: Observation, probe: Probe): Remembered | undefined {
  switch (sight.is) {
    case 'objects':
      return Object.fromEntries(
        sight.objects.map((object) => [nameOf(object), valuesAt(object, probe.is === 'objects' ? probe.paths : [])]),
      )
    case 'output':
      return sight.code === 0 ? sight.text : undefined
    case 'answers':
      return sight.answers.some(({ status }) => status === 0)
        ? undefined
        : Object.fromEntries(sight.answers.map(({ from, body }) => [from, body]))
    case 'nothing':
      return undefined
  }
}
