/**
 * The node's network put together: what gives pods their namespaces, and the parts that follow the cluster's network.
 */
import { join } from 'node:path'
import { quantityValue } from '../proto/base/quantity.ts'
import type { Clock } from '../proto/base/clock.ts'
import type { Logger } from '../proto/base/logger.ts'
import type { AgentConfig, DnsConfig } from './config.ts'
import { NodeDns } from './dns/node-dns.ts'
import type { ResolverSettings } from './dns/worker-messages.ts'
import { IngressProxy } from './ingress/ingress-proxy.ts'
import type { Run } from './host/launcher.ts'
import type { SystemCaller } from './host/system-calls.ts'
import { RoutedNetwork } from './network/routed-network.ts'
import type { PodNetwork, NetworkReconciler, PodGuard, PodSegments } from './network/contract.ts'
import { Fabric } from './network/fabric/fabric.ts'
import { reservedPorts } from './node/reserved-ports.ts'
import { OverlayGuard } from './network/overlay-guard/overlay-guard.ts'
import { PolicyGuard } from './network/policy/policy-guard.ts'
import { Segments } from './network/segments/segments.ts'
import { ServiceProxy } from './network/services/service-proxy.ts'

/** The node that it is for. */
export interface NodeIdentity {
  readonly name: string
  /** Its own address in the cluster. */
  readonly address: string
  /** Tells the cluster, as a warning, what the node does not serve of an object. */
  readonly warn: (
    about: {
      readonly kind: 'Service' | 'Ingress' | 'Gateway' | 'HTTPRoute'
      readonly namespace: string
      readonly name: string
    },
    reason: string,
    message: string,
  ) => void
}

export interface Networking {
  readonly network: PodNetwork
  /** None: pods do not wait for their policies. */
  readonly guard?: PodGuard | undefined
  /** None: a pod that asks for a Network is refused. */
  readonly segments?: PodSegments | undefined
  /** What follows the cluster's network. */
  readonly parts: readonly NetworkReconciler[]
}

export interface NetworkingParts {
  readonly config: AgentConfig
  readonly run: Run
  readonly calls: SystemCaller
  readonly clock: Clock
  readonly log: Logger
}

export function makeNetworking({ config, run, calls, clock, log }: NetworkingParts, node: NodeIdentity): Networking {
  const logger = log.child({ component: 'network' })
  const guard = new PolicyGuard({ run })
  const { overlay, vxlanPort, mtu } = config.network
  const overlayGuard = new OverlayGuard({ node: node.name, run, vxlanPort })
  const fabric = new Fabric({ node: node.name, run, logger, clock, overlay, vxlanPort, mtu, overlayGuard })
  const segments = new Segments({ run, logger, node: node.name, vxlanPort, mtu, address: node.address, overlayGuard })
  const names = new NodeDns({
    run,
    logger: log.child({ component: 'dns' }),
    clock,
    settings: resolverSettings(config.dns),
  })
  const services = new ServiceProxy({
    node: node.name,
    run,
    logger,
    reservedPorts: () => reservedPorts(config),
    refused: (service, text) =>
      node.warn(
        { kind: 'Service', namespace: service.split('/')[0]!, name: service.split('/')[1]! },
        'NotServedByNode',
        text,
      ),
  })
  const ingressProxy = new IngressProxy({
    directory: join(config.runDir, 'entrance'),
    ...config.entrance,
    run,
    clock,
    logger: log.child({ component: 'ingress' }),
    report: ({ kind, namespace, name, reason, message }) => node.warn({ kind, namespace, name }, reason, message),
  })
  return {
    network: new RoutedNetwork({
      stateDir: join(config.runDir, 'network'),
      run,
      calls,
      clock,
      logger,
      address: node.address,
      vxlanPort,
      ...(mtu === undefined ? {} : { mtu }),
    }),
    guard,
    segments,
    parts: [overlayGuard, fabric, guard, segments, services, names, ingressProxy],
  }
}

function resolverSettings({ upstream, cacheSize, serveStale }: DnsConfig): ResolverSettings {
  return { upstream, resolvConf: '/etc/resolv.conf', cacheBytes: quantityValue(cacheSize), serveStale }
}
