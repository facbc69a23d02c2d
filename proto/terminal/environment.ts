/** What a command may touch of the world outside; main.ts hands in the process's own, tests hand in theirs. */
import type { Connect } from '../client/server-pool.ts'
import type { Clock } from '../base/clock.ts'
import type { KindRegistry } from '../schema/kind-registry.ts'

/** Where output goes. */
export interface Sink {
  write(data: string | Uint8Array): unknown
  readonly isTTY?: boolean | undefined
  /** Width of the terminal in characters. */
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

/** Where input comes from. */
export interface Source extends NodeJS.ReadableStream {
  readonly isTTY?: boolean | undefined
  /** Terminals only: every key as it is pressed, without echo or signals. */
  setRawMode?(raw: boolean): unknown
}

export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: Source
  readonly stdout: Sink
  readonly stderr: Sink
  readonly clock: Clock
  /**
   * The kinds that a command line can name: those of the schema, and what has been learned of the cluster's. Words are
   * read before it is known which cluster is meant, so a program has one registry, and its client is given it.
   */
  readonly kinds: KindRegistry
  /** Aborted when the person interrupts. */
  readonly signal: AbortSignal
  /** What dials a controller; loaded only by commands that do. */
  readonly loadConnect: () => Promise<Connect>
  /** Calls whenever the terminal's size changes; answers with the call that ends it. */
  readonly onResize: (call: () => void) => () => void
  /** Runs a program on the person's terminal (an editor) and answers with its exit code. */
  readonly runOnTerminal: (program: string, args: readonly string[]) => Promise<number>
}
