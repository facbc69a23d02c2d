/**
 * Every verb of `gantry rig` by its name; each is loaded when it runs. Summaries stand here too, so that the overview
 * loads none.
 */
import type { Entry } from '../../../proto/terminal/command.ts'
import { faultEntries } from './fault.ts'

const RIGS = 'Rigs'
const MACHINES = 'Machines and cluster'
const FAULTS = 'Faults'

export const commands: Readonly<Record<string, Entry>> = {
  up: {
    group: RIGS,
    summary: 'make a rig: a cluster of several machines on this host',
    load: async () => (await import('./up.ts')).default,
  },
  down: {
    group: RIGS,
    summary: 'end a rig; nothing of it stays',
    load: async () => (await import('./down.ts')).default,
  },
  list: {
    group: RIGS,
    aliases: ['ls'],
    summary: 'list the rigs of this host',
    load: async () => (await import('./list.ts')).default,
  },
  status: {
    group: RIGS,
    summary: "tell about a rig's machines, and the faults in force",
    load: async () => (await import('./status.ts')).default,
  },
  run: {
    group: RIGS,
    summary: 'run scenarios: steps, faults, waits and checks',
    load: async () => (await import('./run.ts')).default,
  },
  sweep: {
    group: RIGS,
    summary: 'remove what processes that have ended left',
    load: async () => (await import('./sweep.ts')).default,
  },
  shell: {
    group: MACHINES,
    summary: 'a shell on a machine, or one command there',
    load: async () => (await import('./shell.ts')).default,
  },
  load: {
    group: MACHINES,
    summary: 'put images onto every node, without a registry',
    load: async () => (await import('./load.ts')).default,
  },
  images: {
    group: MACHINES,
    summary: "list what the rig's registry holds, or put images there",
    load: async () => (await import('./images.ts')).default,
  },
  logs: {
    group: MACHINES,
    summary: 'write one archive with every log, event and object',
    load: async () => (await import('./logs.ts')).default,
  },
  call: {
    group: MACHINES,
    summary: "call a method of the rig's TypeScript API",
    load: async () => (await import('./call.ts')).default,
  },
  node: { group: MACHINES, summary: 'add and remove nodes', load: async () => (await import('./node.ts')).default },
  ...faultEntries(FAULTS),
  heal: {
    group: FAULTS,
    summary: 'end faults: these, or all in force',
    load: async () => (await import('./heal.ts')).default,
  },
  __complete: {
    group: MACHINES,
    summary: 'offer completions',
    hidden: true,
    load: async () => (await import('./complete.ts')).default,
  },
}
