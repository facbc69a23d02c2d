/**
 * Gives each new pod its ServiceAccount and, unless it does not want that, a mounted token of it: whoever makes the
 * pod.
 * https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#service-account-admission-controller
 */
import { clone } from '../../proto/base/clone.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { randomSuffix, type Random } from '../../proto/base/random.ts'
import type { Container, Pod, ServiceAccount, Volume } from '../../proto/gen/types.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { AdmissionAttributes, AdmissionPlugin, WriteContext } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { DEFAULT_SERVICE_ACCOUNT, serviceAccountName } from '../../proto/objects/pod-references.ts'
import { ROOT_CA, type NamespaceDefaults } from './namespace-defaults.ts'
import { describeNew } from '../objects/pod-specs.ts'

/** Where clients in a pod look for their token. */
const TOKEN_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const VOLUME_PREFIX = 'kube-api-access-'
/** Seconds; a little more than an hour, as in Kubernetes. */
const TOKEN_SECONDS = 3607

export interface ServiceAccountPluginParts {
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'current'>
  readonly contents: NamespaceDefaults
  readonly random: Random
}

export class ServiceAccountPlugin implements AdmissionPlugin {
  readonly name = 'ServiceAccount'
  readonly admitsControlPlane = true
  readonly #parts: ServiceAccountPluginParts

  constructor(parts: ServiceAccountPluginParts) {
    this.#parts = parts
  }

  handles({ operation, kind, subresource }: Parameters<AdmissionPlugin['handles']>[0]): boolean {
    return operation === 'CREATE' && kind === 'Pod' && subresource === ''
  }

  /** Forbidden if there is no such account. Nothing is waited for where the cache shows it. */
  mutate({ object, namespace, context }: AdmissionAttributes): undefined | Promise<void> {
    const pod = object as Pod
    const { spec } = pod
    spec.serviceAccountName = serviceAccountName(spec)
    // An older name, which old clients read.
    spec.serviceAccount ??= spec.serviceAccountName
    const account = this.#shown(namespace, spec.serviceAccountName)
    if (account === undefined || !this.#parts.contents.exists(namespace)) return this.#search(pod, context)
    this.#equip(pod, account)
    return undefined
  }

  /** In a namespace that was made a moment ago: what every namespace has is made here, if nobody was faster. */
  async #search(pod: Pod, context: WriteContext): Promise<void> {
    const { contents, reads } = this.#parts
    const { namespace } = pod.metadata
    const name = pod.spec.serviceAccountName!
    await reads.current()
    if (!contents.exists(namespace) && context.dryRun !== true) {
      await contents.make(namespace, { fieldManager: 'serviceaccount-controller' })
      await reads.current()
    }
    const account = this.#shown(namespace, name)
    if (account !== undefined) return this.#equip(pod, account)
    if (context.dryRun === true && name === DEFAULT_SERVICE_ACCOUNT) return this.#equip(pod, undefined)
    throw new GantryError(
      'Forbidden',
      `${describeNew(pod)} is forbidden: its ServiceAccount ${namespace}/${name} not found`,
      {
        details: [
          {
            field: 'spec.serviceAccountName',
            value: name,
            message: `is no ServiceAccount of namespace ${namespace}`,
            remedy: `create it: gantry create serviceaccount ${name} --namespace ${namespace}`,
          },
        ],
      },
    )
  }

  #shown(namespace: string, name: string): ServiceAccount | undefined {
    return this.#parts.informer.lister('ServiceAccount').get(namespace, name)
  }

  #equip({ spec }: Pod, account: ServiceAccount | undefined): void {
    if ((spec.imagePullSecrets ?? []).length === 0 && account?.imagePullSecrets !== undefined)
      spec.imagePullSecrets = clone(account.imagePullSecrets)
    if ((spec.automountServiceAccountToken ?? account?.automountServiceAccountToken) === false) return
    const bare = [...(spec.initContainers ?? []), ...spec.containers].filter((container) => !mountsToken(container))
    if (bare.length === 0) return
    const volume =
      spec.volumes?.find(({ name }) => name.startsWith(VOLUME_PREFIX)) ??
      tokenVolume(`${VOLUME_PREFIX}${randomSuffix(this.#parts.random)}`)
    if (spec.volumes?.includes(volume) !== true) spec.volumes = [...(spec.volumes ?? []), volume]
    for (const container of bare)
      container.volumeMounts = [
        ...(container.volumeMounts ?? []),
        { name: volume.name, readOnly: true, mountPath: TOKEN_MOUNT } as never,
      ]
  }
}

function mountsToken({ volumeMounts = [] }: Container): boolean {
  return volumeMounts.some(({ mountPath }) => mountPath === TOKEN_MOUNT)
}

/** What is missing of it are defaults, which are filled in afterwards. */
function tokenVolume(name: string): Volume {
  const sources = [
    { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
    { configMap: { name: ROOT_CA, items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] },
    },
  ]
  return { name, projected: { defaultMode: 0o644, sources } } as Volume
}
