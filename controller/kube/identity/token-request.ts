/**
 * The subresource token of ServiceAccounts: makes a token, for the API or for others, that may end with a pod, Secret
 * or node.
 * https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
 */
import { formatTime } from '../../../proto/base/time.ts'
import { TOKEN_SECONDS } from '../../../proto/validation/volume.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import type { BoundObjectReference, Pod } from '../../../proto/gen/types.ts'
import { serviceAccountName } from '../../../proto/objects/pod-references.ts'
import type { BoundObject, TokenSubject } from '../../accounts/tokens.ts'
import type { Backends } from '../../requests/backends.ts'
import { servedResource, type Catalog } from '../catalog.ts'
import type { Answer, ResourceRequest, Subresource } from '../contract.ts'
import { applyPathIdentity, readRequestMessage } from '../resources/request-object.ts'
import { writeContext } from '../resources/write-options.ts'
import { HttpError } from '../status.ts'
import { messageAnswer } from './review.ts'

const GROUP = 'authentication.k8s.io'
const ACCOUNTS = servedResource(resourceOf('ServiceAccount'))
/** Where a request does not say. */
const DEFAULT_SECONDS = 3600

export function tokenSubresource(catalog: Catalog): Subresource {
  const parent = catalog.find(ACCOUNTS.group, ACCOUNTS.version, ACCOUNTS.plural)!
  return {
    served: { parent, name: 'token', kind: 'TokenRequest', group: GROUP, version: 'v1', verbs: ['create'] },
    verbs: { create: issueToken },
  }
}

async function issueToken(request: ResourceRequest): Promise<Answer> {
  const { tokens, reads } = request.authorized.backends
  const wanted = await readRequestMessage(request, 'TokenRequest', GROUP, writeContext(request, 'CreateOptions'))
  applyPathIdentity(wanted.metadata, request.target)
  const { namespace, name } = request.target
  const { audiences = [], expirationSeconds = DEFAULT_SECONDS, boundObjectRef } = wanted.spec
  if (expirationSeconds < TOKEN_SECONDS.least || expirationSeconds > TOKEN_SECONDS.most) {
    throw new HttpError(
      422,
      'Invalid',
      `TokenRequest "${name}" is invalid: spec.expirationSeconds: Invalid value: ${expirationSeconds}: give a number from ${TOKEN_SECONDS.least} to ${TOKEN_SECONDS.most}`,
    )
  }
  const account = (await reads.get('ServiceAccount', namespace, name)).object
  const bound = boundObjectRef === undefined ? {} : await boundTo(boundObjectRef, namespace, name, reads)
  const { token, expires } = tokens.issue(
    { namespace, account: account.metadata, ...bound },
    audiences,
    expirationSeconds,
  )
  return messageAnswer('TokenRequest', GROUP, {
    metadata: { name, namespace, creationTimestamp: formatTime(expires - expirationSeconds * 1000) },
    spec: { audiences: audiences.length === 0 ? [tokens.issuer] : audiences, expirationSeconds, boundObjectRef },
    status: { token, expirationTimestamp: formatTime(expires) },
  })
}

/** NotFound; Conflict for another object of the name; Invalid for a pod of another account. */
async function boundTo(
  { kind, apiVersion = 'v1', name = '', uid = '' }: BoundObjectReference,
  namespace: string,
  account: string,
  reads: Backends['reads'],
): Promise<Pick<TokenSubject, 'pod' | 'secret' | 'node'>> {
  if (apiVersion !== 'v1' || kind === undefined)
    throw new HttpError(
      422,
      'Invalid',
      `cannot bind a token to an object of kind ${JSON.stringify(kind ?? '')}, version ${JSON.stringify(apiVersion)}: bind it to a Pod, Secret or Node of version v1`,
    )
  const { object } = await reads.get(kind, kind === 'Node' ? '' : namespace, name)
  if (uid !== '' && uid !== object.metadata.uid)
    throw new HttpError(
      409,
      'Conflict',
      `the UID in the bound object reference (${uid}) does not match the UID in record (${object.metadata.uid}): the object might have been deleted and made again`,
      'Conflict',
    )
  const named: BoundObject = object.metadata
  if (kind === 'Secret') return { secret: named }
  if (kind === 'Node') return { node: named }
  const { spec } = object as Pod
  if (serviceAccountName(spec) !== account)
    throw new HttpError(
      422,
      'Invalid',
      `cannot bind a token of ServiceAccount ${JSON.stringify(account)} to pod ${JSON.stringify(name)}: the pod has ServiceAccount ${JSON.stringify(serviceAccountName(spec))}`,
    )
  const node =
    spec.nodeName === undefined || spec.nodeName === ''
      ? undefined
      : (await reads.find('Node', '', spec.nodeName))?.object.metadata
  return { pod: named, ...(node !== undefined && { node }) }
}
