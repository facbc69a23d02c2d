/** The participants that there are, as the suite runs them. */
import { SERVICE_CLAIMS } from '../../controller/api/services/service-claims.ts'
import { NODE_CLAIMS } from '../../controller/dispatch/node-range-allocator.ts'
import { SESSION_ANNOTATION } from '../../controller/nodehealth/node-session.ts'
import { NETWORK_CLAIMS } from '../../controller/reconcile/network/network-allocator.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import type { ParticipantFixture } from './participant.ts'

const metadata = (name: string, namespace: string) => ({ name, namespace, uid: `uid-${name}`, resourceVersion: '' })

async function unlessThere(make: Promise<unknown>): Promise<void> {
  try {
    await make
  } catch (thrown) {
    if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
  }
}

export const serviceAddresses: ParticipantFixture<'Service'> = {
  kind: 'Service',
  scheme: SERVICE_CLAIMS,
  allocate: (api, name, context) =>
    api.create<'Service'>(
      { kind: 'Service', metadata: { name, namespace: 'default' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } },
      context,
    ),
  legacy: (name) =>
    encodeResource({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(name, 'default'),
      spec: {
        type: 'ClusterIP',
        clusterIP: '10.96.0.12',
        clusterIPs: ['10.96.0.12'],
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
      },
      status: {},
    }),
}

let sessions = 0

export const nodeRanges: ParticipantFixture<'Node'> = {
  kind: 'Node',
  scheme: NODE_CLAIMS,
  async allocate(api, name, context) {
    await unlessThere(api.create<'Node'>({ kind: 'Node', metadata: { name } }, context))
    return api.mutate(
      'Node',
      '',
      name,
      '',
      ({ metadata }) =>
        void (metadata.annotations = { ...metadata.annotations, [SESSION_ANNOTATION]: `s${++sessions}` }),
      context,
    )
  },
  legacy: (name) =>
    encodeResource({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: metadata(name, ''),
      spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] },
      status: {},
    }),
}

export const networkAllocations: ParticipantFixture<'Network'> = {
  kind: 'Network',
  scheme: NETWORK_CLAIMS,
  async allocate(api, name, context) {
    await unlessThere(api.create<'Network'>({ kind: 'Network', metadata: { name, namespace: 'default' } }, context))
    return api.mutate(
      'Network',
      'default',
      name,
      'status',
      ({ status }) => void Object.assign(status, { vni: 100, cidrs: ['172.24.0.0/20'] }),
      context,
    )
  },
  legacy: (name) =>
    encodeResource({
      apiVersion: 'gantry.dev/v1',
      kind: 'Network',
      metadata: metadata(name, 'default'),
      spec: {},
      status: { vni: 100, cidrs: ['172.24.0.0/20'] },
    }),
}
