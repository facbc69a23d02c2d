/** What a controller is told: its settings. */
import { hostname } from 'node:os'
import { checked, hostPort, integer, listOf, optional, section, text, withDefault, type Settings } from '../proto/api/config-file.ts'
import { GantryError } from '../proto/api/errors.ts'
import { PodRanges } from './dispatch/pod-ranges.ts'

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

/** As the ranges that nodes get are cut from it. */
function podCidrProblem(value: string): string | undefined {
  try {
    new PodRanges(value)
    return undefined
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return 'must be an IPv4 range of a /24 or larger that begins at its first address, such as 10.244.0.0/16'
    throw thrown
  }
}

const tlsFiles = section<TlsFiles>({ ca: text, cert: text, key: text })

export const CONTROLLER_SETTINGS: Settings<ControllerConfig> = {
  name: withDefault(text, hostname()),
  listen: withDefault(hostPort, '0.0.0.0:7443'),
  dataDir: withDefault(text, '/var/lib/gantry/controller'),
  tls: tlsFiles,
  podCidr: withDefault(checked(text, podCidrProblem), '10.244.0.0/16'),
  etcd: withDefault(listOf(text), []),
  etcdTls: optional(tlsFiles),
  nats: withDefault(listOf(text), []),
  ports: withDefault(section({ nats: withDefault(integer, 4222) }), { nats: 4222 }),
}
