/** The agent's command line. */
import type { Program } from '../proto/base/program.ts'
import { VERSION } from '../proto/base/version.ts'

export const AGENT: Program = {
  name: 'gantry-agent',
  purpose: 'Runs the pods that the cluster gives to this machine.',
  version: VERSION,
  flags: {
    name: { setting: ['name'], value: 'NAME', says: "the node's name (default: the machine's host name)" },
    address: {
      setting: ['address'],
      value: 'IP',
      says: "the node's address in the cluster (default: that of the default route's interface)",
    },
    controller: { setting: ['controllers'], value: 'HOST:PORT', says: 'where a controller is', type: 'list' },
    'tls-ca': { setting: ['tls', 'ca'], value: 'FILE', says: "the cluster's certificate authority, PEM" },
    'tls-cert': { setting: ['tls', 'cert'], value: 'FILE', says: "the node's certificate, PEM" },
    'tls-key': { setting: ['tls', 'key'], value: 'FILE', says: 'its private key, PEM' },
    'state-dir': {
      setting: ['stateDir'],
      value: 'DIR',
      says: 'what must outlive the agent (default: /var/lib/gantry/agent)',
    },
    'run-dir': { setting: ['runDir'], value: 'DIR', says: 'what may be lost at a reboot (default: /run/gantry/agent)' },
    'cgroup-parent': {
      setting: ['cgroupParent'],
      value: 'PATH',
      says: "where pods' control groups go (default: /gantry)",
    },
    runtime: {
      setting: ['runtime'],
      value: 'auto|crun|runc',
      says: 'OCI runtime (default: auto, which is crun if it works here, else runc)',
    },
  },
}
