/** The kinds that CustomResourceDefinitions define: one strategy serves all of them. */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { customKinds } from '../../proto/schema/custom/definitions.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import { ruleViolations } from '../cel/custom/rules.ts'
import type { Strategy } from './strategy.ts'

export const customObjectStrategy: Strategy = {
  prepareForCreate(object) {
    if (customKinds.get(object.kind)?.terminating === true)
      throw new GantryError(
        'Forbidden',
        `${describeObject(object)} cannot be created: the definition of its kind is being deleted`,
      )
  },
  /** The rules of its definition, in CEL. */
  validate(next: AnyResource, stored) {
    const kind = customKinds.get(next.kind)
    return kind === undefined ? [] : ruleViolations(kind, next, stored)
  },
}
