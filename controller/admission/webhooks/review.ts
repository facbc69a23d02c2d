/**
 * What a webhook is asked and answers: AdmissionReview.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request
 */
import { encodeFields, inspectMessage } from '../../../proto/codec/codec.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { describeProblem, isStrictOnly } from '../../../proto/base/problem.ts'
import type { AdmissionResponse, JsonObject, JsonValue } from '../../../proto/gen/types.ts'
import { AdmissionRefusal } from '../../api/admission-refusal.ts'
import type { VersionedAttributes } from '../versioned-attributes.ts'

const REVIEW = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' } as const

/** JSON. `version`: in which the objects are sent. */
export function questionOf(subject: VersionedAttributes, uid: string, version: string): string {
  const request: JsonObject = {
    uid,
    ...encodeFields('AdmissionRequest', subject.request(version)),
    object: subject.object(version),
    oldObject: subject.oldObject(version),
  }
  return JSON.stringify({ ...REVIEW, request })
}

/**
 * Throws for what is no answer to that question. Fields that are not known are passed over: they are of later versions.
 */
export function answerOf(text: string, uid: string): AdmissionResponse {
  let review: JsonValue
  try {
    review = JSON.parse(text) as JsonValue
  } catch (cause) {
    throw new GantryError('Unavailable', `the answer is not JSON: ${(cause as Error).message}`, { cause })
  }
  if (typeof review !== 'object' || review === null || Array.isArray(review))
    throw new GantryError('Unavailable', 'the answer is not an AdmissionReview')
  if (review.kind !== REVIEW.kind || review.apiVersion !== REVIEW.apiVersion) {
    throw new GantryError(
      'Unavailable',
      `expected webhook response of ${REVIEW.apiVersion}, Kind=${REVIEW.kind}, got ${JSON.stringify(review.apiVersion) ?? 'none'}, Kind=${JSON.stringify(review.kind) ?? 'none'}`,
    )
  }
  if (typeof review.response !== 'object' || review.response === null)
    throw new GantryError('Unavailable', 'webhook response was absent')
  const { object, problems } = inspectMessage('AdmissionResponse', review.response)
  const wrong = problems.filter((problem) => !isStrictOnly(problem))
  if (wrong.length > 0)
    throw new GantryError('Unavailable', `the answer is not as it should be: ${wrong.map(describeProblem).join('; ')}`)
  if (object.uid !== uid)
    throw new GantryError('Unavailable', `expected response.uid="${uid}", got "${object.uid ?? ''}"`)
  return object
}

/** What it refuses, with the status that it chose. */
export function refusalOf(webhook: string, { status }: AdmissionResponse): AdmissionRefusal {
  const denied = `admission webhook "${webhook}" denied the request`
  const { code = 0, message = '', reason = '', details } = status ?? {}
  const text =
    message !== '' ? `${denied}: ${message}` : reason !== '' ? `${denied}: ${reason}` : `${denied} without explanation`
  return new AdmissionRefusal({ code: code >= 400 && code <= 599 ? code : 400, reason, message: text, details })
}

/** Undefined without one. Throws for one that is none. */
export function patchOf({ patch = '', patchType = '' }: AdmissionResponse): JsonValue | undefined {
  if (patch === '' && patchType === '') return undefined
  if (patch === '') throw new GantryError('Unavailable', 'the answer has a patchType and no patch')
  if (patchType !== 'JSONPatch')
    throw new GantryError('Unavailable', `unsupported patch type "${patchType}": JSONPatch is the only one`)
  try {
    return JSON.parse(Buffer.from(patch, 'base64').toString()) as JsonValue
  } catch (cause) {
    throw new GantryError('Unavailable', `the patch is not JSON: ${(cause as Error).message}`, { cause })
  }
}
