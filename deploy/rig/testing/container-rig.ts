/**
 * The rig inside of a container, handled from outside: its cluster through a published port, its machines and faults by
 * `gantry rig call`.
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ClusterClient } from '../../../proto/client/cluster.ts'
import type { Context, Credentials } from '../../../proto/client/context.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { connect } from '../../../proto/rpc/rpc.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import type { Answer, Called, CalledMachine, Method, Parameters } from '../commands/call.ts'
import type { FaultRecord } from '../faults/contract.ts'
import { checkOptionsOf } from '../wait-options.ts'
import type { BeginOptions } from '../faults/fault-engine.ts'
import { openImage } from '../images/image-source.ts'
import type { LoadedImage } from '../images/load.ts'
import { RigHandle, type NodeRemoval } from '../rig-handle.ts'
import { RigMachine } from '../rig-machine.ts'

/** Milliseconds for one answer of the API. */
const ANSWER = 15_000

export interface ContainerRigParts {
  readonly context: Context & Credentials
  /** A file with that context. */
  readonly contextFile: () => Promise<string>
  /** host:port of the registry, from here. */
  readonly registry: string
  readonly machines: readonly CalledMachine[]
  /** Copies a file of this host to a path in the container. */
  readonly copyIn: (file: string, path: string) => Promise<void>
  /** Runs a program in the container. */
  readonly exec: (
    command: string[],
  ) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>
}

/** As class Rig of 'gantry/rig', but for what only makes sense on the rig's own host. */
export class ContainerRig extends RigHandle {
  readonly #parts: ContainerRigParts
  #machines: readonly CalledMachine[]

  constructor(parts: ContainerRigParts) {
    const { context, registry } = parts
    const end = new AbortController()
    const client = new ClusterClient({
      context,
      credentials: context,
      connect,
      clock: systemClock,
      signal: end.signal,
      timeout: ANSWER,
    })
    super({ registry, client, end })
    this.#parts = parts
    this.#machines = parts.machines
  }

  protected get clusterContext(): Context {
    return this.#parts.context
  }

  protected async credentials(): Promise<Credentials> {
    return this.#parts.context
  }

  protected contextFile(): Promise<string> {
    return this.#parts.contextFile()
  }

  async #call<M extends Method>(method: M, ...parameters: Parameters<M>): Promise<Answer<M>> {
    const { exitCode, stdout, stderr } = await this.#parts.exec([
      'gantry',
      'rig',
      'call',
      '--rig',
      'default',
      '--',
      method,
      ...parameters.map((parameter) => JSON.stringify(parameter ?? null)),
    ])
    const called = readAnswer(stdout)
    if (called === undefined)
      throw new GantryError(
        'Internal',
        `the rig in the container gave no answer (exit code ${exitCode}): ${(stderr || stdout).trim()}`,
      )
    if ('error' in called)
      throw new GantryError(called.error.code, called.error.message, { details: called.error.details })
    return called.value as Answer<M>
  }

  /** Controllers, nodes, registry. Their addresses are of the rig's own network, inside of the container. */
  get machines(): readonly RigMachine[] {
    return this.#machines.map((machine) => this.#wrap(machine))
  }

  machine(name: string): RigMachine {
    const found = this.machines.find((machine) => machine.name === name)
    if (found === undefined)
      throw new GantryError('NotFound', `the rig has no machine "${name}"`, {
        details: [
          { field: 'name', value: name, remedy: `it has ${this.#machines.map((machine) => machine.name).join(', ')}` },
        ],
      })
    return found
  }

  #wrap(machine: CalledMachine): RigMachine {
    const { name } = machine
    return new RigMachine(
      machine,
      async () => ({
        state: () => this.#call('state', name),
        run: (command, { signal: _signal, stdin, ...options } = {}) =>
          this.#call('run', name, command, { ...options, ...(stdin === undefined ? {} : { stdin: stdin.toString() }) }),
        readLog: (most) => this.#call('log', name, most),
      }),
      this,
    )
  }

  protected beginFault(
    kind: string,
    values: Readonly<Record<string, unknown>>,
    options: BeginOptions,
  ): Promise<FaultRecord> {
    return this.#call('fault', kind, values, options)
  }

  heal(...ids: string[]): Promise<FaultRecord[]> {
    return this.#call('heal', ...ids)
  }

  faults(): Promise<FaultRecord[]> {
    return this.#call('faults')
  }

  startMachine(name: string): Promise<void> {
    return this.#call('startMachine', name)
  }

  /** Adds nodes with the lowest free numbers; they, once they are ready. */
  async addNode(count = 1): Promise<RigMachine[]> {
    const added = await this.#call('addNode', count)
    this.#machines = await this.#call('machines')
    return added.map(({ name }) => this.machine(name))
  }

  /** Empties a node politely, then takes it away with its machine. */
  async removeNode(name: string, removal: NodeRemoval = {}): Promise<void> {
    checkOptionsOf('removeNode', removal, ['now'])
    await this.#call('removeNode', name, removal)
    this.#machines = await this.#call('machines')
  }

  /**
   * Puts an image onto every node without a registry: an archive or OCI layout on this host by its path, or an image of
   * the Docker engine here by its name. `name`: for one that its archive has no name for.
   */
  async load(image: string, options: { readonly name?: string } = {}): Promise<readonly LoadedImage[]> {
    checkOptionsOf('load', options, ['name'])
    const { name } = options
    const source = await openImage(image, this.end.signal)
    const folder = await mkdtemp(join(tmpdir(), 'gantry-load-'))
    const there = `/var/lib/gantry/${basename(folder)}.tar`
    try {
      const file = join(folder, 'image.tar')
      await pipeline(source.open(), createWriteStream(file), { signal: this.end.signal })
      await this.#parts.copyIn(file, there)
      return await this.#call('load', there, name === undefined ? {} : { name })
    } finally {
      await rm(folder, { recursive: true, force: true })
      await source.close()
      // A container that was stopped meanwhile has taken it along.
      await this.#parts.exec(['rm', '-f', there]).catch(() => undefined)
    }
  }

  /** Writes one archive (.tar.gz) with all that a report of a fault needs, to a path in the container; the path. */
  logs(file: string): Promise<string> {
    return this.#call('logs', file)
  }

  /** Ends what is under way and the connections; the cluster goes on. */
  close(): void {
    this.letGo('the container is stopped, or its rig was let go of')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}

/** The last line; warnings may stand before it. */
function readAnswer(stdout: string): Called | undefined {
  const line = stdout.trim().split('\n').at(-1) ?? ''
  return line.startsWith('{') ? (JSON.parse(line) as Called) : undefined
}
