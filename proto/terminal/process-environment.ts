/**
 * The environment of a command line that is this process's own: its streams, clock and terminal. For composition roots
 * only.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { KindRegistry } from '../schema/kind-registry.ts'
import type { Environment } from './environment.ts'

/** `signal` is aborted when the person interrupts. */
export function processEnvironment(signal: AbortSignal): Environment {
  return {
    env: process.env,
    cwd: process.cwd(),
    get stdin() {
      return process.stdin // opened only by commands that read it
    },
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    kinds: new KindRegistry(),
    signal,
    loadConnect: async () => (await import('../rpc/rpc.ts')).connect,
    onResize(call) {
      process.stdout.on('resize', call)
      return () => process.stdout.off('resize', call)
    },
    runOnTerminal,
  }
}

/** A reader that has seen enough, as in `gantry get pods | head -1`, ends the process without a word. */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
  }
}

/** Interrupts reach the program by the terminal itself; being asked to end is passed on. */
function runOnTerminal(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit' })
    const passOn = (): void => void child.kill('SIGTERM')
    process.on('SIGTERM', passOn)
    child.on('error', reject)
    child.on('close', (exit, signal) => {
      process.off('SIGTERM', passOn)
      resolve(signal === null ? (exit ?? 1) : 128 + constants.signals[signal])
    })
  })
}
