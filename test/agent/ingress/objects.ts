/** Objects as a node is told them, and a view of them that tests change. */
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { parseManifests } from '../../../proto/codec/manifest.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { validate } from '../../../proto/validation/validation.ts'
import { decodeResource, encode } from '../../../proto/codec/wire.ts'
import type { AnyResource, EndpointSlice, Resources, Secret, Service } from '../../../proto/gen/types.ts'
import type { NetworkView, ViewedKind } from '../../../agent/network/contract.ts'

/** A view that holds objects by kind and key, as ClusterView has them. */
export class TestView implements NetworkView {
  revision = 0
  readonly ranges = { podCidrs: [], cluster: { podCidrs: [], serviceCidrs: [], domain: 'cluster.local' } }
  readonly #objects = new Map<string, Map<string, AnyResource>>()

  objects<K extends ViewedKind & keyof Resources>(kind: K): ReadonlyMap<string, Resources[K]> {
    const known = this.#objects.get(kind) ?? new Map<string, AnyResource>()
    this.#objects.set(kind, known)
    return known as unknown as ReadonlyMap<string, Resources[K]>
  }

  entries(): ReadonlyMap<string, never> {
    return new Map<string, never>()
  }

  /** The keys of what was put. */
  put(...objects: readonly AnyResource[]): Set<string> {
    return new Set(
      objects.map((object) => {
        const { kind, metadata } = object
        metadata.uid ||= `uid-${kind}-${metadata.name}`
        metadata.resourceVersion = String(++this.revision)
        ;(this.objects(kind as ViewedKind) as Map<string, AnyResource>).set(
          metadata.namespace === '' ? metadata.name : `${metadata.namespace}/${metadata.name}`,
          object,
        )
        return `${kind}/${metadata.namespace}/${metadata.name}`
      }),
    )
  }

  remove(kind: ViewedKind, name: string, namespace = 'default'): Set<string> {
    this.revision++
    ;(this.objects(kind) as Map<string, AnyResource>).delete(namespace === '' ? name : `${namespace}/${name}`)
    return new Set([`${kind}/${namespace}/${name}`])
  }
}

/** Objects out of a manifest, with defaults and valid, older ones first. */
export function objects(yaml: string): AnyResource[] {
  return parseManifests(yaml, 'test.yaml').map(({ object: draft, kind }, index) => {
    const object = applyDefaults(decodeResource(kind, encode(kind, draft as never)) as AnyResource)
    if (resourceOf(kind).namespaced) object.metadata.namespace ||= 'default'
    object.metadata.creationTimestamp ??= new Date(Date.UTC(2026, 0, 1, 0, 0, index)).toISOString()
    const problems = validate(object)
    if (problems.length > 0) throw new Error(JSON.stringify(problems))
    return object
  })
}

export const CLASSES = `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: gantry }
spec: { controller: gantry.dev/entrance }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: gantry }
spec: { controllerName: gantry.dev/entrance }
`

export function service(name: string, more: Partial<Service['spec']> = {}, namespace = 'default'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, uid: '', resourceVersion: '' },
    spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP' }], type: 'ClusterIP', ...more } as Service['spec'],
    status: {},
  }
}

/** The slice of a Service: its endpoints' ports must be one. */
export function slice(
  name: string,
  addresses: readonly string[],
  port: number,
  more: { readonly ready?: boolean; readonly portName?: string; readonly namespace?: string } = {},
): EndpointSlice {
  const { ready = true, portName = 'http', namespace = 'default' } = more
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-1`,
      namespace,
      uid: '',
      resourceVersion: '',
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready } })),
    ports: [{ name: portName, protocol: 'TCP', port }],
  }
}

export function tlsSecret(name: string, { cert, key }: { cert: string; key: string }, namespace = 'default'): Secret {
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, uid: '', resourceVersion: '' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encode(cert), 'tls.key': encode(key) },
  }
}
