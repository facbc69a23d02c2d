/** What served objects refer to: Secrets with certificates, Services. */
import type { Gateway, HTTPBackendRef, Ingress, Listener, ReferenceGrant, Secret, Service } from '../../gen/types.ts'
import type { ConditionProblem } from './attachment.ts'
import { isGranted } from './grants.ts'

/** "namespace/name" of the Secrets that a served Ingress names. */
export function ingressSecrets({ metadata, spec }: Ingress): string[] {
  return (spec.tls ?? []).flatMap(({ secretName = '' }) =>
    secretName === '' ? [] : [`${metadata.namespace}/${secretName}`],
  )
}

/** "namespace/name" of the Secrets that a served Gateway names and may read. */
export function gatewaySecrets(gateway: Gateway, grants: readonly ReferenceGrant[]): string[] {
  return gateway.spec.listeners.flatMap((listener) =>
    certificateReferences(gateway, listener, grants).flatMap((reference) =>
      'key' in reference ? [reference.key] : [],
    ),
  )
}

/** A listener's certificates: each the key of a Secret, or why it cannot be one. */
export function certificateReferences(
  gateway: Gateway,
  { protocol, tls }: Listener,
  grants: readonly ReferenceGrant[],
): ({ readonly key: string } | { readonly problem: ConditionProblem })[] {
  if (protocol !== 'HTTPS') return []
  return (tls?.certificateRefs ?? []).map(({ group = '', kind, name, namespace = gateway.metadata.namespace }) => {
    if (group !== '' || kind !== 'Secret')
      return { problem: { reason: 'InvalidCertificateRef', message: `${kind} ${name} is no Secret` } }
    const granted = isGranted(
      { from: { kind: 'Gateway', namespace: gateway.metadata.namespace }, to: { kind: 'Secret', namespace, name } },
      grants,
    )
    return granted
      ? { key: `${namespace}/${name}` }
      : {
          problem: {
            reason: 'RefNotPermitted',
            message: `No ReferenceGrant of the namespace ${namespace} allows Secret ${name} to be used`,
          },
        }
  })
}

/** Undefined for a Secret that a certificate and its key may stand in; whether they do, the ingress proxy finds out. */
export function certificateProblem(key: string, secret: Secret | undefined): ConditionProblem | undefined {
  if (secret === undefined) return { reason: 'InvalidCertificateRef', message: `Secret ${key} does not exist` }
  const missing = ['tls.crt', 'tls.key'].filter((name) => (secret.data?.[name] ?? '') === '')
  if (missing.length > 0)
    return { reason: 'InvalidCertificateRef', message: `Secret ${key} has no ${missing.join(' and no ')}` }
  return Buffer.from(secret.data!['tls.crt']!, 'base64').includes('-----BEGIN CERTIFICATE-----')
    ? undefined
    : { reason: 'InvalidCertificateRef', message: `Secret ${key} has no certificate in PEM form in tls.crt` }
}

export interface ServiceKey {
  readonly namespace: string
  readonly name: string
}

/** The Service that a backendRef of a route in a namespace means, or why requests for it cannot be served. */
export function backendService(
  { group = '', kind, name, namespace, port }: HTTPBackendRef,
  routeNamespace: string,
  grants: readonly ReferenceGrant[],
  serviceOf: (key: string) => Service | undefined,
): { readonly service: Service } | { readonly problem: ConditionProblem } {
  const place: ServiceKey = { namespace: namespace ?? routeNamespace, name }
  if (group !== '' || kind !== 'Service')
    return { problem: { reason: 'InvalidKind', message: `${kind} ${name} is no Service` } }
  if (
    !isGranted({ from: { kind: 'HTTPRoute', namespace: routeNamespace }, to: { kind: 'Service', ...place } }, grants)
  ) {
    return {
      problem: {
        reason: 'RefNotPermitted',
        message: `No ReferenceGrant of the namespace ${place.namespace} allows Service ${name} to be used`,
      },
    }
  }
  const service = serviceOf(`${place.namespace}/${name}`)
  if (service === undefined)
    return { problem: { reason: 'BackendNotFound', message: `Service ${place.namespace}/${name} does not exist` } }
  if (!(service.spec.ports ?? []).some((candidate) => candidate.port === port))
    return { problem: { reason: 'BackendNotFound', message: `Service ${place.namespace}/${name} has no port ${port}` } }
  return { service }
}
