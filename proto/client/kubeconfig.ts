/**
 * How kubectl and other clients of Kubernetes reach a cluster.
 * https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
import type { Context, Credentials } from './context.ts'
import { formatYaml } from '../base/yaml-text.ts'

/**
 * The YAML of a kubeconfig with one context, as kubectl writes it. All that it needs stands in it, so that it is as
 * secret as the key. `server`: host:port, for the file has room for one controller only.
 */
export function kubeconfig(
  { name, namespace }: Pick<Context, 'name' | 'namespace'>,
  { ca, cert, key, serverName }: Credentials,
  server: string,
): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64')
  const user = `${name}-admin`
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: {
          server: `https://${server}`,
          'certificate-authority-data': base64(ca),
          ...(serverName !== undefined && { 'tls-server-name': serverName }),
        },
      },
    ],
    users: [{ name: user, user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) } }],
    contexts: [{ name, context: { cluster: name, user, ...(namespace !== undefined && { namespace }) } }],
    'current-context': name,
    preferences: {},
  }
  return formatYaml(config)
}
