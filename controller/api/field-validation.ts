/**
 * How strictly a user's object is read: what is too much in it (an unknown field, a key that comes twice, a field that
 * Gantry does not act on) is refused, told of in a warning, or passed over. What is wrong otherwise is always refused.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
 */
import { inspectJson } from '../../proto/codec/codec.ts'
import type { DecodeOptions } from '../../proto/codec/json-decoder.ts'
import {
  describeWarning,
  isStrictOnly,
  problemError,
  MAX_REPORTED_PROBLEMS,
  type Problem,
} from '../../proto/base/problem.ts'
import type { JsonValue, Kind, Resources } from '../../proto/gen/types.ts'
import type { WriteContext } from './contract.ts'

export type Validation = Pick<WriteContext, 'fieldValidation' | 'warn'>

/**
 * An object of the kind, as strictly as the context says. `earlier`: what the reading of its text found. DecodingError
 * with every problem.
 */
export function decodeObject<K extends Kind>(
  kind: K,
  value: JsonValue,
  validation: Validation,
  options: DecodeOptions = {},
  earlier: readonly Problem[] = [],
): Resources[K] {
  const { object, problems } = inspectJson(kind, value, { allowDuplicateKeys: true, ...options })
  reportProblems(inOrder(problems, earlier), validation)
  return object as Resources[K]
}

/** Unknown fields before keys that come twice, as Kubernetes tells them; of a key that is both, that it is unknown. */
export function inOrder(problems: readonly Problem[], earlier: readonly Problem[]): readonly Problem[] {
  if (earlier.length === 0) return problems
  const unknown = new Set(
    problems.filter(({ unknownOrDuplicate: surplus }) => surplus === true).map(({ field }) => field),
  )
  return [...problems, ...earlier.filter(({ field }) => !unknown.has(field))]
}

/** Refuses, warns or passes over. DecodingError. */
export function reportProblems(problems: readonly Problem[], { fieldValidation = 'Strict', warn }: Validation): void {
  if (problems.length === 0) return
  const wrong = fieldValidation === 'Strict' ? problems : problems.filter((problem) => !isStrictOnly(problem))
  if (wrong.length > 0) throw problemError(wrong)
  if (fieldValidation === 'Warn')
    for (const problem of problems.slice(0, MAX_REPORTED_PROBLEMS)) warn?.(describeWarning(problem))
}
