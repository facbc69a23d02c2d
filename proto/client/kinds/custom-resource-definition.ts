import type { CustomResourceDefinition } from '../../gen/types.ts'
import { isConditionTrue } from '../../objects/conditions.ts'
import type { KindRecord } from './kind-record.ts'
import { failed, ready, waiting, wordOf, type Readiness } from './readiness.ts'

export const customResourceDefinition: KindRecord<'CustomResourceDefinition'> = {
  readiness: definitionReadiness,
  describe: async (object) => (await import('../describe/generic.ts')).genericEntries(object),
  applyOrder: 0,
}

/** A definition is ready once its kind is served. */
function definitionReadiness(object: CustomResourceDefinition): Readiness {
  const { conditions = [] } = object.status
  const word = wordOf(object)
  const refused = conditions.find(({ type, status }) => type === 'NamesAccepted' && status === 'False')
  if (refused !== undefined) return failed(`${word}: ${refused.message ?? 'its names are taken'}`)
  return isConditionTrue(conditions, 'Established')
    ? ready(`${word} is established`)
    : waiting(`${word}: not established yet`)
}
