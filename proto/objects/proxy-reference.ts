/**
 * What a proxied request names:
 * https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
 */
import { GantryError } from '../base/errors.ts'

export interface ProxyReference {
  readonly name: string
  /** Number or name; '' for the only one. */
  readonly port: string
  /** Whether the pod is spoken to over TLS; its certificate is not checked, as by the Kubernetes API. */
  readonly tls: boolean
}

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** NAME, NAME:PORT, SCHEME:NAME or SCHEME:NAME:PORT, where a port may be empty. InvalidArgument. */
export function parseProxyReference(text: string): ProxyReference {
  const parts = text.split(':')
  const scheme =
    parts.length === 3 || (parts.length === 2 && (parts[0] === 'http' || parts[0] === 'https')) ? parts.shift()! : ''
  const [name = '', port = '', ...more] = parts
  if (more.length > 0 || !NAME.test(name) || !['', 'http', 'https'].includes(scheme)) {
    throw new GantryError('InvalidArgument', `"${text}" is not [SCHEME:]NAME[:PORT]`, {
      details: [{ field: 'path', value: text, remedy: 'the scheme is http or https, the port a number or a name' }],
    })
  }
  return { name, port, tls: scheme === 'https' }
}
