/** The agent's command line. */
import type { Program } from '../proto/base/program.ts'
import { VERSION } from '../proto/base/version.ts'

export const AGENT: Program = {
  name: 'gantry-agent',
  purpose: 'Runs the pods that the cluster gives to this machine.',
  version: VERSION,
  flags: {
    name: { setting: ['name'], value: 'NAME', description: "the node's name (default: the machine's host name)" },
    address: {
      setting: ['address'],
      value: 'IP',
      description: "the node's address in the cluster (default: that of the default route's interface)",
    },
    controller: { setting: ['controllers'], value: 'HOST:PORT', description: 'where a controller is', type: 'list' },
    'tls-ca': { setting: ['tls', 'ca'], value: 'FILE', description: "the cluster's certificate authority, PEM" },
    'tls-cert': { setting: ['tls', 'cert'], value: 'FILE', description: "the node's certificate, PEM" },
    'tls-key': { setting: ['tls', 'key'], value: 'FILE', description: 'its private key, PEM' },
    'state-dir': {
      setting: ['stateDir'],
      value: 'DIR',
      description: 'what must outlive the agent (default: /var/lib/gantry/agent)',
    },
    'run-dir': {
      setting: ['runDir'],
      value: 'DIR',
      description: 'what may be lost at a reboot (default: /run/gantry/agent)',
    },
    'cgroup-parent': {
      setting: ['cgroupParent'],
      value: 'PATH',
      description: "where pods' control groups go (default: /gantry)",
    },
    runtime: {
      setting: ['runtime'],
      value: 'auto|crun|runc',
      description: 'OCI runtime (default: auto, which is crun if it works here, else runc)',
    },
  },
}
