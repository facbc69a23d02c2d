import { isObject } from '../../../proto/base/json.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { PatchOptions, WriteContext } from '../../api/contract.ts'
import { reportProblems } from '../../api/field-validation.ts'
import { parseJson, readTyped, readYamlBody } from '../body.ts'
import type { ResourceRequest, Target } from '../contract.ts'
import { HttpError } from '../status.ts'
import { ofKind, applyPathIdentity } from './request-object.ts'
import { refuseForce, requireManager } from './write-options.ts'

const APPLY = 'application/apply-patch+yaml'
const TYPES = {
  'application/json-patch+json': 'JSON',
  'application/merge-patch+json': 'MERGE',
  'application/strategic-merge-patch+json': 'STRATEGIC',
} as const
/** As Kubernetes has it. */
const OPERATIONS_LIMIT = 10_000

export type Patch =
  | { readonly is: 'apply'; readonly configuration: JsonObject }
  | { readonly is: 'patch'; readonly type: PatchOptions['type']; readonly patch: PatchOptions['patch'] }

/** UnsupportedMediaType (415) for a type that the resource has not; BadRequest. */
export async function receivedPatch(request: ResourceRequest, context: WriteContext): Promise<Patch> {
  const { resource } = request.target
  // The rules by which a strategic patch merges lists are those of messages.
  const types = [
    ...Object.keys(TYPES).filter(
      (type) => resource.message !== undefined || TYPES[type as keyof typeof TYPES] !== 'STRATEGIC',
    ),
    APPLY,
  ]
  if (request.headers['content-type'] === undefined)
    throw new HttpError(
      415,
      'UnsupportedMediaType',
      `the request does not say of what type the patch is: one of ${types.join(', ')}`,
    )
  const { type, bytes } = await readTyped(request, types)
  const { value, problems } = type === APPLY ? await readYamlBody(request, bytes) : parseJson(bytes)
  reportProblems(problems, context)
  if (type !== APPLY) {
    refuseForce(request)
    if (Array.isArray(value) && value.length > OPERATIONS_LIMIT)
      throw new HttpError(
        413,
        'RequestEntityTooLarge',
        `the patch has ${value.length} operations, the limit is ${OPERATIONS_LIMIT}`,
      )
    return { is: 'patch', type: TYPES[type as keyof typeof TYPES], patch: value }
  }
  requireManager(request)
  if (!isObject(value)) throw new HttpError(400, 'BadRequest', 'the configuration to be applied is not an object')
  for (const field of ['apiVersion', 'kind'])
    if (value[field] === undefined)
      throw new HttpError(400, 'BadRequest', `the configuration to be applied has no ${field}`)
  checkIdentity(value, request.target)
  return { is: 'apply', configuration: ofKind(value, resource) }
}

/**
 * BadRequest for a configuration of another object, and for one that says whose its fields are: applying it says that.
 */
function checkIdentity({ metadata }: JsonObject, target: Target): void {
  if (!isObject(metadata)) return // what is wrong with it is told when it is decoded
  const { name = '', namespace = '', managedFields } = metadata
  if (Array.isArray(managedFields) && managedFields.length > 0)
    throw new HttpError(400, 'BadRequest', 'metadata.managedFields must be nil')
  if (typeof name === 'string' && typeof namespace === 'string') applyPathIdentity({ name, namespace }, target)
}
