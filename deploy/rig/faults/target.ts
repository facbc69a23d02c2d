/**
 * What a process fault is aimed at: a machine, or a program on it. "n2", "n2/agent", "controller/etcd",
 * "n1/shim:web-7d4c".
 */
import type { ProgramName, Role } from '../contract.ts'

/** What stands before a pod's name in the target of its shims. */
export const SHIM = 'shim:'

export type Program =
  /** What init keeps running, and what that starts. */
  | { readonly is: 'program'; readonly name: ProgramName }
  /** conmon, the parent of each of a pod's containers. */
  | { readonly is: 'shim'; readonly pod: string }

export interface Target {
  readonly machine: string
  /** Undefined: the machine itself. */
  readonly program: Program | undefined
}

/** Reads a target that values.ts has checked. */
export function parseTarget(text: string): Target {
  const slash = text.indexOf('/')
  if (slash < 0) return { machine: text, program: undefined }
  const program = text.slice(slash + 1)
  return {
    machine: text.slice(0, slash),
    program: program.startsWith(SHIM)
      ? { is: 'shim', pod: program.slice(SHIM.length) }
      : { is: 'program', name: program as ProgramName },
  }
}

/** Programs that a machine of this role runs; those of init first. */
export function programsOf(role: Role): readonly ProgramName[] {
  switch (role) {
    case 'controller':
      return ['controller', 'etcd', 'nats']
    case 'registry':
      return ['registry']
    case 'node':
      return ['agent']
  }
}

/** "agent on n2", for people. */
export function targetWords(text: string): string {
  const { machine, program } = parseTarget(text)
  if (program === undefined) return machine
  return program.is === 'shim' ? `the shims of pod ${program.pod} on ${machine}` : `${program.name} on ${machine}`
}
