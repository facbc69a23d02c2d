/**
 * What expressions of match conditions and policies know.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#validation-expression
 */
import { encodeFields } from '../../../proto/codec/codec.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import { CelEnvironment, type Variables } from '../program.ts'
import { untyped } from '../custom/schema-types.ts'
import { AuthorizerValue, authorizerDeclarations } from './authorizer.ts'
import type { ExpressionSubject } from './subject.ts'

const REQUEST: Variables = { object: 'dyn', oldObject: 'dyn', request: 'dyn' }

/** Of match conditions. `params`: of a policy that has them. */
export function conditionEnvironment(params = false): CelEnvironment {
  return params ? withParams : plain
}

const plain = new CelEnvironment({ ...REQUEST, authorizer: 'Authorizer' }, authorizerDeclarations)
const withParams = new CelEnvironment({ ...REQUEST, authorizer: 'Authorizer', params: 'dyn' }, authorizerDeclarations)

class VariableValues {}

/** Of what a policy validates; its variables are those declared before. `authorizer`: not for messages. */
export function policyEnvironment({
  params,
  variables,
  authorizer = true,
}: {
  readonly params: boolean
  readonly variables: readonly string[]
  readonly authorizer?: boolean
}): CelEnvironment {
  const { types = [], functions = [] } = authorizerDeclarations
  const named = {
    name: 'Variables',
    constructor: VariableValues,
    fields: Object.fromEntries(variables.map((name) => [name, 'dyn'])),
  }
  return new CelEnvironment(
    {
      ...REQUEST,
      namespaceObject: 'dyn',
      variables: 'Variables',
      ...(params && { params: 'dyn' }),
      ...(authorizer && { authorizer: 'Authorizer' }),
    },
    { types: [...types, named], functions },
  )
}

/** Variables, each evaluated when an expression first reads it. */
export function variableValues(makers: Readonly<Record<string, () => unknown>>): object {
  return lazy(makers, new VariableValues() as Record<string, unknown>)
}

/** Values of one request, each made when an expression first reads it; `version`: of the objects. */
export function requestValues(
  subject: ExpressionSubject,
  version: string,
  authorizer: Authorizer,
): Readonly<Record<string, unknown>> {
  return lazy({
    object: () => untyped(subject.object(version)),
    oldObject: () => untyped(subject.oldObject(version)),
    request: () => untyped(encodeFields('AdmissionRequest', subject.request(version))),
    authorizer: () => new AuthorizerValue(authorizer, subject),
  })
}

/** An object whose fields are made when they are first read, and then stay. */
export function lazy(
  makers: Readonly<Record<string, () => unknown>>,
  values: Record<string, unknown> = {},
): Record<string, unknown> {
  for (const [name, make] of Object.entries(makers)) {
    Object.defineProperty(values, name, {
      enumerable: true,
      configurable: true,
      get: () => {
        const value = make()
        Object.defineProperty(values, name, { value, enumerable: true, configurable: true, writable: true })
        return value
      },
    })
  }
  return values
}
