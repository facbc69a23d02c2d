/**
 * The folders of each program, from the ground up: a folder imports only from those on lower floors. The longest entry
 * that a file is in, or is, decides where it stands. So a file may stand lower than the folder around it, as contracts
 * do: others fulfil them or are written to them, and the folder that declares them is built of those.
 */
export const floors = [
  ['proto/base'],
  ['proto/schema'],
  ['proto/codec', 'proto/generator'],
  ['proto/generate.ts'],
  ['proto/merge', 'proto/objects'],
  ['proto/validation', 'proto/rpc'],
  ['proto/client'],
  ['proto/terminal'],

  // The control plane: the table in controller/README.md says the same in words.
  ['controller/objects', 'controller/store'],
  // The contracts of the API core and of the informer: strategies of kinds, and all above them, are written to these.
  ['controller/api/contract.ts', 'controller/api/participant.ts', 'controller/informer/contract.ts'],
  ['controller/authorization', 'controller/election'],
  ['controller/cel'],
  ['controller/kinds'],
  ['controller/api', 'controller/informer'],
  ['controller/accounts', 'controller/events', 'controller/runner', 'controller/traffic'],
  ['controller/nodehealth'],
  ['controller/reconcile', 'controller/scheduler'],
  ['controller/dispatch'],
  // What reads all settings, or makes parts of many folders, stands above them: parts are handed what they need.
  ['controller/admission', 'controller/requests', 'controller/config.ts', 'controller/participants.ts'],
  ['controller/grpc', 'controller/kube', 'controller/processes', 'controller/supervise', 'controller/options.ts'],
  ['controller/controller.ts'],
  ['controller/main.ts'],

  ['agent/host', 'agent/options.ts'],
  ['agent/images', 'agent/network'],
  ['agent/admin', 'agent/dns', 'agent/ingress', 'agent/runtime', 'agent/session'],
  ['agent/config.ts', 'agent/state', 'agent/volumes'],
  ['agent/node'],
  ['agent/networking.ts', 'agent/streams'],
  ['agent/metrics', 'agent/pods'],
  ['agent/agent.ts'],
  ['agent/main.ts'],

  ['cli/copy', 'cli/forward', 'cli/output'],
  // Its files at the top: what several commands share.
  ['cli', 'cli/proxy'],
  ['cli/commands'],
  ['cli/gantry.ts'],
  ['cli/main.ts'],

  // Its files at the top, and the examples: what stands alone.
  ['deploy'],
  ['deploy/node-image'],
  // What a machine is, and what is on record of a rig and its faults: drivers and faults are written to these.
  ['deploy/rig/contract.ts', 'deploy/rig/installation.ts', 'deploy/rig/record-lock.ts'],
  ['deploy/rig/faults/contract.ts'],
  ['deploy/rig/rig-record.ts'],
  ['deploy/rig/layout.ts'],
  ['deploy/rig/drivers', 'deploy/rig/faults', 'deploy/rig/images', 'deploy/rig/logs'],
  ['deploy/rig/scenario'],
  ['deploy/rig'],
  ['deploy/rig/commands'],
  ['deploy/rig/program.ts', 'deploy/rig/testing'],
  ['deploy/rig/main.ts'],
]
