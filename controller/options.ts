/** The controller's command line. */
import type { Program } from '../proto/base/program.ts'
import { VERSION } from '../proto/base/version.ts'

export const CONTROLLER: Program = {
  name: 'gantry-controller',
  purpose: "Serves the cluster's API and, when it leads, schedules pods and keeps the cluster as its objects say.",
  version: VERSION,
  flags: {
    name: { setting: ['name'], value: 'NAME', description: "the controller's name (default: the machine's host name)" },
    listen: { setting: ['listen'], value: 'HOST:PORT', description: 'for agents and people (default: 0.0.0.0:7443)' },
    'kube-listen': {
      setting: ['kubeListen'],
      value: 'HOST:PORT',
      description: 'for the Kubernetes API (default: 0.0.0.0:6443)',
    },
    advertise: {
      setting: ['advertise'],
      value: 'HOST:PORT',
      description: 'where agents and other controllers reach it (default: where it listens)',
    },
    'data-dir': {
      setting: ['dataDir'],
      value: 'DIR',
      description: 'what must outlive the controller (default: /var/lib/gantry/controller)',
    },
    'tls-ca': { setting: ['tls', 'ca'], value: 'FILE', description: "the cluster's certificate authority, PEM" },
    'tls-cert': { setting: ['tls', 'cert'], value: 'FILE', description: "the controller's certificate, PEM" },
    'tls-key': { setting: ['tls', 'key'], value: 'FILE', description: 'its private key, PEM' },
    'pod-cidr': {
      setting: ['podCidr'],
      value: 'CIDR',
      description:
        "pods' addresses in the whole cluster, a /24 of them for each node; with IPv6 e.g. 10.244.0.0/16,fd00:10:244::/48 (default: 10.244.0.0/16)",
    },
    'service-cidr': {
      setting: ['serviceCidr'],
      value: 'CIDR',
      description: "Services' addresses (default: 10.96.0.0/16)",
    },
    'cluster-domain': {
      setting: ['clusterDomain'],
      value: 'DOMAIN',
      description: 'below it Services have names (default: cluster.local)',
    },
    etcd: {
      setting: ['etcd'],
      value: 'URL',
      description: 'a member of an etcd that is there already (default: the controller runs its own)',
      type: 'list',
    },
    nats: {
      setting: ['nats'],
      value: 'URL',
      description: 'a NATS server that is there already (default: the controller runs its own)',
      type: 'list',
    },
    'nats-port': {
      setting: ['ports', 'nats'],
      value: 'PORT',
      description: 'port of its own NATS on loopback (default: 4222)',
      type: 'count',
    },
    'etcd-peer-port': {
      setting: ['ports', 'etcdPeer'],
      value: 'PORT',
      description: "port for the other members' etcd (default: 2380)",
      type: 'count',
    },
    'nats-peer-port': {
      setting: ['ports', 'natsPeer'],
      value: 'PORT',
      description: "port for the other members' NATS (default: 6222)",
      type: 'count',
    },
    serve: {
      setting: ['serve'],
      value: 'N',
      description: 'that many of its processes serve, and one more leads (default: 1, one process does everything)',
      type: 'count',
    },
  },
}
