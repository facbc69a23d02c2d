/** Which cluster and namespace a command speaks to: flags, then the context file. */
import { contextFilePath, loadCredentials, readContexts, type Context } from '../client/context.ts'
import { GantryError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { ClusterClient } from '../client/cluster.ts'
import type { FlagValues } from './flags.ts'
import type { Environment } from './environment.ts'

/** Flags of every command. */
export const globalFlags = {
  namespace: { type: 'text', short: 'n', value: 'name', help: 'namespace to work in', completes: 'namespace' },
  context: { type: 'text', value: 'name', help: 'context of the context file to use', completes: 'context' },
  server: { type: 'list', commas: true, value: 'host:port', help: "controller to speak to instead of the context's" },
  config: {
    type: 'text',
    value: 'file',
    help: 'context file (default $GANTRY_CONFIG or ~/.config/gantry/config.yaml)',
    completes: 'file',
  },
  'request-timeout': {
    type: 'duration',
    value: 'time',
    default: 15_000,
    help: 'give up on a single answer after this time',
  },
} as const

export type GlobalFlags = typeof globalFlags

export class Target {
  readonly #flags: FlagValues<GlobalFlags>
  readonly #environment: Environment
  #context: Promise<Context> | undefined
  #cluster: Promise<ClusterClient> | undefined
  #opened: ClusterClient | undefined

  constructor(flags: FlagValues<GlobalFlags>, environment: Environment) {
    this.#flags = flags
    this.#environment = environment
  }

  /** Path of the context file. */
  get file(): string {
    return this.#flags.config ?? contextFilePath(this.#environment.env)
  }

  context(): Promise<Context> {
    return (this.#context ??= this.#resolve())
  }

  /** The namespace given by flag, else the context's, else "default". */
  async namespace(): Promise<string> {
    return this.#flags.namespace ?? (await this.context()).namespace ?? 'default'
  }

  /** The connection, made on first use. */
  cluster(): Promise<ClusterClient> {
    return (this.#cluster ??= this.#open())
  }

  close(): void {
    this.#opened?.close()
  }

  /** True once a connection was made. */
  get dialled(): boolean {
    return this.#opened !== undefined
  }

  async #open(): Promise<ClusterClient> {
    const [connect, context] = await Promise.all([this.#environment.loadConnect(), this.context()])
    const credentials = await loadCredentials(context, this.file)
    this.#opened = new ClusterClient({
      context,
      credentials,
      connect,
      clock: this.#environment.clock,
      signal: this.#environment.signal,
      timeout: this.#flags['request-timeout'],
      kinds: this.#environment.kinds,
    })
    return this.#opened
  }

  async #resolve(): Promise<Context> {
    const { context: wanted, server } = this.#flags
    const { contexts, currentContext } = await readContexts(this.file)
    const name = wanted ?? currentContext
    const found = contexts.find((context) => context.name === name)
    if (found !== undefined) return server.length > 0 ? { ...found, server, kube: undefined } : found
    if (name !== undefined && (wanted !== undefined || server.length === 0)) {
      const meant = nearest(
        name,
        contexts.map((context) => context.name),
      )
      throw new GantryError(
        'InvalidArgument',
        `no context "${name}" in ${this.file}${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
        { details: [{ remedy: '`gantry config get-contexts` lists them' }] },
      )
    }
    if (server.length > 0) return { name: server[0]!, server }
    throw new GantryError(
      'InvalidArgument',
      contexts.length === 0
        ? `no cluster is known: ${this.file} has no contexts`
        : `no context is current in ${this.file}`,
      {
        details: [
          {
            remedy:
              contexts.length === 0
                ? '`npm run up` starts a cluster here and writes its context; or name a file with --config'
                : '`gantry config use-context NAME` chooses one',
          },
        ],
      },
    )
  }
}
