/**
 * The environment of a command line that is this process's own: its streams, clock and terminal. For composition roots
 * only.
 */
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { userCacheFolder } from '../base/guarded-file.ts'
import type { Connect } from '../client/server-pool.ts'
import { KindRegistry } from '../schema/kind-registry.ts'
import type { Environment } from './environment.ts'

/** https://github.com/grpc/grpc/blob/master/doc/environment_variables.md */
const PROXY_VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy']

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
    loadConnect,
    onResize(call) {
      process.stdout.on('resize', call)
      return () => process.stdout.off('resize', call)
    },
    runOnTerminal,
  }
}

/**
 * What connects to controllers. Only gRPC's library goes by a proxy; whoever has none is spared the loading of it,
 * which takes longer than a call.
 */
async function loadConnect(): Promise<Connect> {
  const { env } = process
  if (PROXY_VARIABLES.some((name) => (env[name] ?? '') !== '')) return (await import('../rpc/rpc.ts')).connect
  const [{ connect }, { CheckedCertificateFile, noCheckedCertificates }] = await Promise.all([
    import('../rpc/light/connect.ts'),
    import('../rpc/light/checked-certificates.ts'),
  ])
  const cache = userCacheFolder(env)
  const checked =
    cache === undefined
      ? noCheckedCertificates
      : new CheckedCertificateFile(join(cache, 'checked-certificates.json'), systemClock)
  return (address, tls, liveness) => connect(address, tls, liveness, checked)
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
async function runOnTerminal(program: string, args: readonly string[]): Promise<number> {
  const [{ spawn }, { constants }] = await Promise.all([import('node:child_process'), import('node:os')])
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
