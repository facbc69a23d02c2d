/**
 * What all kinds have in common that CustomResourceDefinitions define. How far an object of theirs is, its conditions
 * say, in the words that most controllers use for them:
 * https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
 */
import { customKinds } from '../../schema/custom/definitions.ts'
import type { AnyResource, Condition, Kind } from '../../gen/types.ts'
import type { KindRecord } from './kind-record.ts'
import { failed, isOutdated, ready, waiting, wordOf, type Readiness } from './readiness.ts'

export function customRecord(kind: Kind): KindRecord {
  const scale = customKinds.get(kind)?.stored.scale
  return {
    readiness: customReadiness,
    takesTime: true,
    describe: async (object) => (await import('../describe/generic.ts')).genericEntries(object),
    ...(scale === undefined ? {} : { scale: { replicasPath: scale.specReplicasPath.slice(1).split('.') } }),
  }
}

/** Conditions that say that an object is as its spec says, the one that says most first. */
const GOOD = ['Ready', 'Available'] as const

/**
 * An object without any condition is taken as it is, but the text says that nothing is known of it: who waits for
 * readiness is told so.
 */
function customReadiness(object: AnyResource): Readiness {
  const word = wordOf(object)
  const { observedGeneration, conditions } = statusOf(object)
  if (object.metadata.deletionTimestamp !== undefined) return waiting(`${word}: is being deleted`)
  if (observedGeneration !== undefined && isOutdated(object, observedGeneration))
    return waiting(`${word}: its last change is not observed yet`)
  const find = (type: string): Condition | undefined => conditions.find((condition) => condition.type === type)
  const stalled = find('Stalled')
  if (stalled?.status === 'True') return failed(`${word}: ${wordsOf(stalled)}`)
  const reconciling = find('Reconciling')
  if (reconciling?.status === 'True') return waiting(`${word}: ${wordsOf(reconciling)}`)
  const good = GOOD.map(find).find((condition) => condition !== undefined)
  if (good === undefined)
    return ready(
      `${word} exists; ${conditions.length === 0 ? 'it has no conditions' : `it has neither condition ${GOOD.join(' nor ')}`} to tell whether it is ready`,
    )
  if (good.observedGeneration !== undefined && isOutdated(object, good.observedGeneration))
    return waiting(`${word}: its last change is not observed yet`)
  return good.status === 'True'
    ? ready(`${word} is ${good.type.toLowerCase()}`)
    : waiting(
        `${word}: ${good.status === 'False' || good.message !== undefined ? wordsOf(good) : `${good.type} is ${good.status}`}`,
      )
}

function wordsOf({ type, status, reason, message }: Condition): string {
  return message || reason || (status === 'True' ? type : `not ${type}`)
}

/** What an object of any kind may have in its status; what is of another type there is left out. */
function statusOf(object: AnyResource): {
  readonly observedGeneration: number | undefined
  readonly conditions: readonly Condition[]
} {
  const status = (object as { status?: unknown }).status
  const { observedGeneration, conditions } = (typeof status === 'object' && status !== null ? status : {}) as Readonly<
    Record<string, unknown>
  >
  return {
    observedGeneration: typeof observedGeneration === 'number' ? observedGeneration : undefined,
    conditions: Array.isArray(conditions) ? conditions.filter(isCondition) : [],
  }
}

function isCondition(value: unknown): value is Condition {
  const { type, status } = (value ?? {}) as { type?: unknown; status?: unknown }
  return typeof type === 'string' && typeof status === 'string'
}
