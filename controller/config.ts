/** What a controller is told: its configuration file. */
import { hostname } from 'node:os'
import { integer, listOf, section, text, withDefault, type Settings } from '../proto/api/config-file.ts'

export interface TlsFiles {
  /** PEM files. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface ControllerConfig {
  readonly name: string
  /** host:port for agents and people. */
  readonly listen: string
  readonly dataDir: string
  readonly tls: TlsFiles
  /** Pod addresses of the whole cluster, a /24 of them for each node. */
  readonly podCidr: string
  /** Endpoints of an etcd that is there already, e.g. https://10.0.0.1:2379; empty: the controller runs its own. */
  readonly etcd: readonly string[]
  readonly etcdTls: TlsFiles | undefined
  /** Port on loopback of its own NATS; its own etcd is on a socket in the data directory. */
  readonly ports: { readonly nats: number }
  /** NATS servers that are there already, e.g. nats://10.0.0.1:4222; empty: the controller runs its own. */
  readonly nats: readonly string[]
}

const tlsFiles = section<TlsFiles>({ ca: text, cert: text, key: text })

export const CONTROLLER_SETTINGS: Settings<ControllerConfig> = {
  name: withDefault(text, hostname()),
  listen: withDefault(text, '0.0.0.0:7443'),
  dataDir: withDefault(text, '/var/lib/gantry/controller'),
  tls: tlsFiles,
  podCidr: withDefault(text, '10.244.0.0/16'),
  etcd: withDefault(listOf(text), []),
  etcdTls: withDefault(tlsFiles, undefined),
  nats: withDefault(listOf(text), []),
  ports: withDefault(section({ nats: withDefault(integer, 4222) }), { nats: 4222 }),
}
