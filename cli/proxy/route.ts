/**
 * What a request to `gantry proxy` is for, by its path, as the Kubernetes API has it:
 * https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
 */
import { GantryError } from '../../proto/base/errors.ts'
import { parseProxyReference, type ProxyReference } from '../../proto/objects/proxy-reference.ts'

export interface Route extends ProxyReference {
  readonly kind: 'Pod' | 'Service'
  readonly namespace: string
  /** With its query, as the pod is asked. */
  readonly path: string
  /** What stands before it here. */
  readonly prefix: string
}

const PATTERN = /^(\/api\/v1\/namespaces\/([^/]+)\/(pods|services)\/([^/?]+)\/proxy)(\/[^]*|\?[^]*)?$/
const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

/** Undefined: the path is no proxy path. InvalidArgument: it is a malformed one. */
export function parseRoute(url: string): Route | undefined {
  const found = PATTERN.exec(url)
  if (found === null) return undefined
  const [, prefix, namespace, plural, reference, rest = ''] = found
  const { name, port, tls } = parseProxyReference(decodeURIComponent(reference!))
  if (!NAMESPACE.test(namespace!))
    throw new GantryError('InvalidArgument', `"${namespace}" is no namespace`, {
      details: [{ field: 'path', value: url }],
    })
  return {
    kind: plural === 'pods' ? 'Pod' : 'Service',
    namespace: namespace!,
    name,
    port,
    tls,
    path: rest.startsWith('/') ? rest : `/${rest}`,
    prefix: prefix!,
  }
}
