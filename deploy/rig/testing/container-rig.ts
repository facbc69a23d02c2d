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
import { firstReachable } from '../../../proto/client/reachable.ts'
import { kubeAddresses, type Context, type Credentials } from '../../../proto/client/context.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { kubeconfig } from '../../../proto/client/kubeconfig.ts'
import { connect } from '../../../proto/rpc/rpc.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run, type CommandResult } from '../../../proto/base/command.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import type { Answer, Called, CalledMachine, Method, Parameters } from '../commands/call.ts'
import type { FaultRecord } from '../faults/contract.ts'
import { checkOptionsOf, patienceOf, type WaitOptions } from '../wait-options.ts'
import type { BeginOptions } from '../faults/fault-engine.ts'
import { openImage } from '../images/image-source.ts'
import type { LoadedImage } from '../images/load.ts'
import { pushImages } from '../images/push.ts'
import { listRegistryImages, type RegistryImage } from '../images/registry-images.ts'
import { bundlePath } from '../installation.ts'
import { applyManifests, deleteObjects, objectNamed, type Manifests } from '../objects.ts'
import { Fault, RigMachine, type Faults, type Lasting } from '../rig-machine.ts'
import type { InNamespace, NodeRemoval } from '../rig.ts'
import { awaitObject, eventually, type Goal } from '../until.ts'

/** Milliseconds for one answer of the API, and for one run of the command line. */
const ANSWER = 15_000
const COMMAND_PATIENCE = 120_000
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code)

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

/** As class Rig of 'gantry/rig', but for what only makes sense on the rig's own host. Errors are GantryErrors. */
export class ContainerRig implements Faults, AsyncDisposable {
  /** host:port of the registry, in which every node looks first for an image of whatever name. */
  readonly registry: string
  /** The cluster's API as an administrator, with objects in and out. */
  readonly client: ClusterClient
  readonly #parts: ContainerRigParts
  readonly #end = new AbortController()
  #machines: readonly CalledMachine[]

  constructor(parts: ContainerRigParts) {
    this.registry = parts.registry
    this.#parts = parts
    this.#machines = parts.machines
    const { context } = parts
    this.client = new ClusterClient({
      context,
      credentials: context,
      connect,
      clock: systemClock,
      signal: this.#end.signal,
      timeout: ANSWER,
    })
  }

  /**
   * The cluster for kubectl and client libraries of Kubernetes, from here: a kubeconfig's text, for the first
   * controller that can be reached now.
   */
  async kubeconfig(): Promise<string> {
    const { context } = this.#parts
    const addresses = kubeAddresses(context)
    return kubeconfig(context, context, (await firstReachable(addresses, this.#end.signal)) ?? addresses[0]!)
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

  /**
   * Makes the cluster match manifests: a file or directory, an http(s) address, an object or several. The objects as
   * they are then. If one is refused nothing is written, and the error names each field with its place.
   */
  async apply(manifests: Manifests, options: InNamespace = {}): Promise<AnyResource[]> {
    checkOptionsOf('apply', options, ['namespace'])
    const { namespace } = options
    return applyManifests(this.client, manifests, namespace, this.#end.signal)
  }

  /**
   * Deletes what manifests, or "deployment/web", name, and waits until it is gone. What is not there is no error.
   * `graceSeconds`: instead of the pods' own.
   */
  async delete(
    objects: Manifests,
    options: InNamespace & WaitOptions & { readonly graceSeconds?: number } = {},
  ): Promise<void> {
    const timeout = patienceOf('delete', options, ['namespace', 'graceSeconds'])
    await deleteObjects(
      this.client,
      objects,
      { namespace: options.namespace, graceSeconds: options.graceSeconds, timeout },
      this.#end.signal,
    )
  }

  /**
   * Waits for an object, "deployment/web": see `Goal`. The object then; undefined once it is deleted. DeadlineExceeded
   * after `within` (60 s unless said).
   */
  async until(
    object: string,
    goal: Goal = 'Ready',
    options: InNamespace & WaitOptions = {},
  ): Promise<AnyResource | undefined> {
    const timeout = patienceOf('until', options, ['namespace'])
    const key = objectNamed(object, options.namespace, this.client.kinds)
    return awaitObject(this.client, key, goal, timeout, this.#end.signal)
  }

  /**
   * Asks again and again until the answer is true; DeadlineExceeded with the last answer or error after `within` (60 s
   * unless said).
   */
  async eventually(probe: () => unknown, options: WaitOptions = {}): Promise<void> {
    await eventually(probe, systemClock, patienceOf('eventually', options), this.#end.signal)
  }

  /** Runs the command line, on this host, against this cluster; whatever its exit code is, it is the answer. */
  async gantry(args: readonly string[], stdin = ''): Promise<CommandResult> {
    const env = { ...process.env, GANTRY_CONFIG: await this.#parts.contextFile(), NO_COLOR: '1' }
    return run(process.execPath, [bundlePath('gantry.cjs'), '--context', this.#parts.context.name, ...args], {
      env,
      stdin,
      timeout: COMMAND_PATIENCE,
      signal: this.#end.signal,
      allow: ANY_CODE,
    })
  }

  /** Controllers, nodes, registry. Their addresses are of the rig's own network, inside of the container. */
  get machines(): readonly RigMachine[] {
    return this.#machines.map((machine) => this.#wrap(machine))
  }

  get nodes(): readonly RigMachine[] {
    return this.machines.filter(({ role }) => role === 'node')
  }

  /** NotFound if there is none. */
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

  /** The same, for a node. */
  node(name: string): RigMachine {
    const machine = this.machine(name)
    if (machine.role === 'node') return machine
    throw new GantryError('InvalidArgument', `"${name}" is a ${machine.role}, not a node`, {
      details: [{ field: 'name', value: name, remedy: '`machine(name)` takes any' }],
    })
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

  /** Begins a fault of any kind: see Rig.fault. */
  async fault(kind: string, values: Readonly<Record<string, unknown>>, options: BeginOptions = {}): Promise<Fault> {
    checkOptionsOf('fault', options, ['for', 'source'])
    return new Fault(await this.#call('fault', kind, values, options), this)
  }

  /**
   * Cuts machines off from others, or from all others: their packets vanish. `port`: this one alone; `oneWay`: only
   * those from the first to the others.
   */
  partition(
    from: readonly string[],
    to?: readonly string[],
    { for: lasting, ...values }: Lasting & { readonly oneWay?: boolean; readonly port?: number } = {},
  ): Promise<Fault> {
    return this.fault(
      'partition',
      { from, ...(to === undefined ? {} : { to }), ...values },
      lasting === undefined ? {} : { for: lasting },
    )
  }

  /** Ends these faults, or all; those that were in force. */
  heal(...ids: string[]): Promise<FaultRecord[]> {
    return this.#call('heal', ...ids)
  }

  /** In force, and the latest that have ended, in the order they began. */
  faults(): Promise<FaultRecord[]> {
    return this.#call('faults')
  }

  /** Starts a machine that a fault keeps off; that ends the fault. No error if it runs. */
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
    const source = await openImage(image, this.#end.signal)
    const folder = await mkdtemp(join(tmpdir(), 'gantry-load-'))
    const there = `/var/lib/gantry/${basename(folder)}.tar`
    try {
      const file = join(folder, 'image.tar')
      await pipeline(source.open(), createWriteStream(file), { signal: this.#end.signal })
      await this.#parts.copyIn(file, there)
      return await this.#call('load', there, name === undefined ? {} : { name })
    } finally {
      await rm(folder, { recursive: true, force: true })
      await source.close()
      // A container that was stopped meanwhile has taken it along.
      await this.#parts.exec(['rm', '-f', there]).catch(() => undefined)
    }
  }

  /**
   * Puts an image into the cluster's registry, where nodes find it with every pull policy; `image` and `name` as of
   * `load`.
   */
  async push(image: string, options: { readonly name?: string } = {}): Promise<readonly LoadedImage[]> {
    checkOptionsOf('push', options, ['name'])
    const { name } = options
    return pushImages(image, this.registry, { name, signal: this.#end.signal })
  }

  /** What the registry holds. */
  images(): Promise<RegistryImage[]> {
    return listRegistryImages(this.registry, this.#end.signal)
  }

  /** Writes one archive (.tar.gz) with all that a report of a fault needs, to a path in the container; the path. */
  logs(file: string): Promise<string> {
    return this.#call('logs', file)
  }

  /** Ends what is under way and the connections; the cluster goes on. */
  close(): void {
    this.#end.abort(new GantryError('Cancelled', 'the container is stopped, or its rig was let go of'))
    this.client.close()
    this.client.kinds.close()
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
