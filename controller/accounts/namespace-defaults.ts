/**
 * What every namespace has: the ServiceAccount default, and the ConfigMap with the cluster's certificate authority, by
 * which pods know the API when they meet it. https://kubernetes.io/docs/concepts/configuration/configmap/
 * (kube-root-ca.crt)
 */
import { GantryError } from '../../proto/base/errors.ts'
import { DEFAULT_SERVICE_ACCOUNT } from '../../proto/objects/pod-references.ts'
import type { ConfigMap } from '../../proto/gen/types.ts'
import type { ObjectApi, WriteContext } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'

export const ROOT_CA = 'kube-root-ca.crt'
const ROOT_CA_KEY = 'ca.crt'
const DESCRIPTION = {
  'kubernetes.io/description':
    'The certificate authority of the cluster: whoever speaks to its API from a pod can tell by it that it is the API.',
}

export interface NamespaceDefaultsParts {
  readonly api: Pick<ObjectApi, 'create' | 'mutate'>
  readonly informer: Informer
  /** The certificate authority's certificate, PEM. */
  readonly authority: string
}

export class NamespaceDefaults {
  readonly #parts: NamespaceDefaultsParts

  constructor(parts: NamespaceDefaultsParts) {
    this.#parts = parts
  }

  /** True if the cache shows all of it. */
  exists(namespace: string): boolean {
    const { informer } = this.#parts
    return (
      informer.lister('ServiceAccount').get(namespace, DEFAULT_SERVICE_ACCOUNT) !== undefined &&
      informer.lister('ConfigMap').get(namespace, ROOT_CA) !== undefined
    )
  }

  /** Makes what the cache does not show. What others make meanwhile, and a namespace that is going, is no error. */
  async make(namespace: string, context: WriteContext): Promise<void> {
    const { api, informer } = this.#parts
    const missing: (() => Promise<unknown>)[] = []
    if (informer.lister('ServiceAccount').get(namespace, DEFAULT_SERVICE_ACCOUNT) === undefined)
      missing.push(() =>
        api.create<'ServiceAccount'>(
          { kind: 'ServiceAccount', metadata: { namespace, name: DEFAULT_SERVICE_ACCOUNT } },
          context,
        ),
      )
    if (informer.lister('ConfigMap').get(namespace, ROOT_CA) === undefined)
      missing.push(() => this.#createAuthority(namespace, context))
    await Promise.all(missing.map((create) => unlessGone(create)))
  }

  /** Sets right what somebody has written into the ConfigMap, or another authority of before. */
  async repair(namespace: string, context: WriteContext): Promise<void> {
    const stored = this.#parts.informer.lister('ConfigMap').get(namespace, ROOT_CA)
    if (stored !== undefined && !this.#isRight(stored)) await unlessGone(() => this.#mendAuthority(namespace, context))
  }

  #createAuthority(namespace: string, context: WriteContext): Promise<ConfigMap> {
    return this.#parts.api.create<'ConfigMap'>(
      {
        kind: 'ConfigMap',
        metadata: { namespace, name: ROOT_CA, annotations: { ...DESCRIPTION } },
        data: { [ROOT_CA_KEY]: this.#parts.authority },
      },
      context,
    )
  }

  #mendAuthority(namespace: string, context: WriteContext): Promise<ConfigMap> {
    return this.#parts.api.mutate(
      'ConfigMap',
      namespace,
      ROOT_CA,
      '',
      (stored) => {
        if (this.#isRight(stored)) return false
        stored.data = { [ROOT_CA_KEY]: this.#parts.authority }
        delete stored.binaryData
        return undefined
      },
      context,
    )
  }

  #isRight(stored: ConfigMap): boolean {
    return (
      stored.binaryData === undefined &&
      Object.keys(stored.data ?? {}).length === 1 &&
      stored.data?.[ROOT_CA_KEY] === this.#parts.authority
    )
  }
}

async function unlessGone(write: () => Promise<unknown>): Promise<void> {
  try {
    await write()
  } catch (thrown) {
    // Forbidden: the namespace is being deleted; NotFound: it is gone. Then nothing is missing.
    if (!GantryError.is(thrown, 'AlreadyExists', 'NotFound', 'Forbidden')) throw thrown
  }
}
