/**
 * Registry credentials out of the secrets that a pod names.
 * https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Pod, Secret } from '../../../proto/gen/types.ts'
import type { Credential } from '../../images/contract.ts'
import type { ConfigSource } from '../../volumes/config-source.ts'

/**
 * A secret that is absent is left out, as Kubernetes does: the registry may allow the pull. FailedPrecondition: a
 * secret that holds no such thing.
 */
export function pullCredentials(pod: Pod, objects: ConfigSource): Credential[] {
  return (pod.spec.imagePullSecrets ?? []).flatMap(({ name = '' }) => {
    const secret = objects.secret(pod.metadata.namespace, name)
    return secret === undefined ? [] : secretCredentials(secret)
  })
}

interface Entry {
  auth?: string
  username?: string
  password?: string
}

function secretCredentials(secret: Secret): Credential[] {
  const wrapped = secret.data?.['.dockerconfigjson']
  const bare = secret.data?.['.dockercfg']
  if (wrapped === undefined && bare === undefined) return []
  const parsed = parse(secret, wrapped ?? bare!)
  const auths = (
    wrapped === undefined ? parsed : ((parsed as { auths?: Record<string, Entry> }).auths ?? {})
  ) as Record<string, Entry>
  return Object.entries(auths).map(([host, entry]) => {
    const [username, ...password] =
      entry.auth === undefined
        ? [entry.username ?? '', entry.password ?? '']
        : Buffer.from(entry.auth, 'base64').toString().split(':')
    return { registry: host, username: username ?? '', password: password.join(':') }
  })
}

function parse(secret: Secret, encoded: string): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.from(encoded, 'base64').toString())
    if (typeof value === 'object' && value !== null) return value
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
  }
  throw new GantryError('FailedPrecondition', `secret "${secret.metadata.name}" holds no registry credentials in JSON`)
}
