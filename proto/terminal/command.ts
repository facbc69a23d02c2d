/** Commands and programs as typed data: flags, help and the function that runs. */
import type { Environment } from './environment.ts'
import type { Flags, FlagValues } from './flags.ts'
import type { GlobalFlags, Target } from './target.ts'

export interface Invocation<F extends Flags = Flags> {
  readonly flags: FlagValues<F>
  /** Flags that were typed, not filled in. */
  readonly given: ReadonlySet<string>
  readonly global: FlagValues<GlobalFlags>
  /** Operands before `--`. */
  readonly args: readonly string[]
  /** Operands after `--`; undefined without one. */
  readonly rest: readonly string[] | undefined
  readonly environment: Environment
  /** The set of commands that this one is of. */
  readonly program: Program
  /** The context and cluster that the command speaks to; dialled on first use. */
  readonly target: Target
}

/** What completion may offer for operands. */
export type Completes =
  | 'kinds'
  | 'kinds-and-names'
  | 'pods'
  | 'pods-and-workloads'
  | 'nodes'
  | 'workloads'
  | 'deployments'
  | 'contexts'
  | 'rigs'
  | 'machines'
  | 'none'

export interface Command<F extends Flags = Flags> {
  /** After the command's name in the usage line. */
  readonly usage: string
  readonly summary: string
  readonly description?: string
  readonly examples: readonly string[]
  readonly flags: F
  readonly completes: Completes
  /** Further words: `rollout status`. A group that does nothing itself has no run. */
  readonly subcommands?: Readonly<Record<string, Command>>
  /** The exit code; 0 if nothing is returned. */
  run?(invocation: Invocation<F>): Promise<number | void>
}

/** Keeps the flags' types for run(). */
export function defineCommand<const F extends Flags>(command: Command<F>): Command {
  return command as unknown as Command
}

/** A command in a program's list: what the overview shows, without loading it. */
export interface Entry {
  readonly group: string
  readonly summary: string
  readonly aliases?: readonly string[]
  readonly hidden?: boolean
  /** Its words are not read here, but handed to it as they are, --help included. */
  readonly verbatim?: boolean
  readonly load: () => Promise<Command>
}

/** A set of commands under one name. */
export interface Program {
  /** How it is called: "gantry", "gantry rig". */
  readonly name: string
  readonly says: string
  readonly commands: Readonly<Record<string, Entry>>
  /** Flags of every command, of those that `Target` reads. */
  readonly globalFlags: Partial<GlobalFlags>
  /** Words of other programs that are no commands here, with what does the same. */
  readonly unsupportedCommands: () => Promise<Readonly<Record<string, string>>>
  /** What only this program knows to complete: rigs, machines. `words`: the line so far. */
  readonly candidates?: (
    completes: 'rigs' | 'machines',
    words: readonly string[],
    environment: Environment,
  ) => Promise<Candidate[]>
}

/** A word that completion offers. */
export interface Candidate {
  readonly word: string
  readonly description: string
}
