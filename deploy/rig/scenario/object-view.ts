/**
 * The objects of a selection as they change: pushed by the control plane's watch, listed anew after every cut of it.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { elapsed, type Clock } from '../../../proto/base/clock.ts'
import type { AnyResource, Kind } from '../../../proto/gen/types.ts'
import type { ObjectSelection } from './scenario.ts'
import type { ScenarioRig } from './scenario-rig.ts'
import { untilAborted } from './signals.ts'

/** Milliseconds between tries while no controller answers. */
const RETRY_MS = 200

function selectionOf({ namespace, name, selector, fields }: ObjectSelection): {
  namespace: string
  labelSelector?: string
  fieldSelector?: string
} {
  const fieldSelector = name !== undefined ? `metadata.name=${name}` : fields
  return {
    namespace,
    ...(selector === undefined ? {} : { labelSelector: selector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  }
}

/** As they are now, by name. */
export async function listObjects(client: ScenarioRig['client'], selection: ObjectSelection): Promise<AnyResource[]> {
  const { items } = await client.list(selection.kind, selectionOf(selection))
  return sorted(items)
}

/**
 * All objects of the selection at the beginning and after every change, until the signal is aborted (it then ends
 * without an error). While no controller answers nothing comes, and `trouble` hears why; an answer that trying again
 * does not mend is thrown.
 */
export async function* viewObjects(
  client: ScenarioRig['client'],
  clock: Clock,
  selection: ObjectSelection,
  signal: AbortSignal,
  trouble: (error: GantryError) => void,
): AsyncGenerator<AnyResource[], void, undefined> {
  const { kind } = selection
  while (!signal.aborted) {
    try {
      const listed = await untilAborted(client.list(kind, selectionOf(selection)), signal)
      const objects = new Map<string, AnyResource>(listed.items.map((object) => [keyOf(object), object]))
      yield sorted(objects.values())
      for await (const change of client.watch<Kind>(kind, selectionOf(selection), listed.resourceVersion, signal)) {
        if (change.type === 'BOOKMARK') continue
        if (change.type === 'DELETED') objects.delete(keyOf(change.object))
        else objects.set(keyOf(change.object), change.object)
        yield sorted(objects.values())
      }
    } catch (thrown) {
      if (signal.aborted) return
      const error = GantryError.from(thrown)
      if (!GantryError.is(error, 'Unavailable', 'Expired', 'DeadlineExceeded')) throw error
      trouble(error)
    }
    await elapsed(clock, RETRY_MS, signal)
  }
}

function keyOf({ metadata }: AnyResource): string {
  return `${metadata.namespace}/${metadata.name}`
}

function sorted(objects: Iterable<AnyResource>): AnyResource[] {
  return [...objects].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}
