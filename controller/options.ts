/** The controller's command line. */
import type { Program } from '../proto/api/program.ts'
import { VERSION } from '../proto/base/version.ts'

export const CONTROLLER: Program = {
  name: 'gantry-controller',
  purpose: "Serves the cluster's API and, when it leads, schedules pods and keeps the cluster as its objects say.",
  version: VERSION,
  flags: {
    name: { setting: ['name'], value: 'NAME', says: "the controller's name (default: the machine's host name)" },
    listen: { setting: ['listen'], value: 'HOST:PORT', says: 'for agents and people (default: 0.0.0.0:7443)' },
    'data-dir': { setting: ['dataDir'], value: 'DIR', says: 'what must outlive the controller (default: /var/lib/gantry/controller)' },
    'tls-ca': { setting: ['tls', 'ca'], value: 'FILE', says: "the cluster's certificate authority, PEM" },
    'tls-cert': { setting: ['tls', 'cert'], value: 'FILE', says: "the controller's certificate, PEM" },
    'tls-key': { setting: ['tls', 'key'], value: 'FILE', says: 'its private key, PEM' },
    'pod-cidr': { setting: ['podCidr'], value: 'CIDR', says: "pods' addresses in the whole cluster, a /24 of them for each node (default: 10.244.0.0/16)" },
    etcd: { setting: ['etcd'], value: 'URL', says: 'a member of an etcd that is there already (default: the controller runs its own)', type: 'list' },
    nats: { setting: ['nats'], value: 'URL', says: 'a NATS server that is there already (default: the controller runs its own)', type: 'list' },
    'nats-port': { setting: ['ports', 'nats'], value: 'PORT', says: 'port of its own NATS on loopback (default: 4222)', type: 'count' },
  },
}
