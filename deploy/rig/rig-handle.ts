/**
 * What Rig, of this host, and ContainerRig, of a container, offer alike: the cluster by its client, the registry, and
 * machines and faults as far as it does not matter where they are.
 */
import { run, type CommandResult } from '../../proto/base/command.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { kubeAddresses, type Context, type Credentials } from '../../proto/client/context.ts'
import { kubeconfig } from '../../proto/client/kubeconfig.ts'
import { firstReachable } from '../../proto/client/reachable.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { FaultRecord } from './faults/contract.ts'
import type { BeginOptions } from './faults/fault-engine.ts'
import type { LoadedImage } from './images/load.ts'
import { pushImages } from './images/push.ts'
import { listRegistryImages, type RegistryImage } from './images/registry-images.ts'
import { bundlePath } from './installation.ts'
import { applyManifests, deleteObjects, objectNamed, type Manifests } from './objects.ts'
import { Fault, type Faults, type Lasting, type RigMachine } from './rig-machine.ts'
import { awaitObject, eventually, type Goal } from './until.ts'
import { checkOptionsOf, patienceOf, type WaitOptions } from './wait-options.ts'

/** Milliseconds for one run of the command line. */
const COMMAND_TIMEOUT_MS = 120_000
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code)

export interface InNamespace {
  /** For objects that name none; default "default". */
  readonly namespace?: string
}

export interface NodeRemoval {
  /** Does not empty the node first: its machine goes at once, as if it had burnt. */
  readonly now?: boolean
}

export interface RigHandleParts {
  /** host:port of the registry, from here. */
  readonly registry: string
  readonly client: ClusterClient
  /** Ends what is under way. */
  readonly end: AbortController
}

/** Errors are GantryErrors; those of the cluster itself as the command line has them. */
export abstract class RigHandle implements Faults, AsyncDisposable {
  /** host:port of the registry, in which every node looks first for an image of whatever name. */
  readonly registry: string
  /** The cluster's API as an administrator, with objects in and out. */
  readonly client: ClusterClient
  /** Aborted when the rig is let go of. */
  protected readonly end: AbortController

  protected constructor({ registry, client, end }: RigHandleParts) {
    this.registry = registry
    this.client = client
    this.end = end
  }

  /** How the cluster is reached from here. */
  protected abstract get clusterContext(): Context
  /** What the cluster's administrator shows to be let in. */
  protected abstract credentials(): Promise<Credentials>
  /** The path of a file with that context. */
  protected abstract contextFile(): Promise<string>
  protected abstract beginFault(
    kind: string,
    values: Readonly<Record<string, unknown>>,
    options: BeginOptions,
  ): Promise<FaultRecord>

  /** Controllers, nodes, registry. */
  abstract get machines(): readonly RigMachine[]
  /** NotFound, with what there is, if there is none. */
  abstract machine(name: string): RigMachine
  /** Ends these faults, or all; those that were in force. NotFound for an id that there never was. */
  abstract heal(...ids: string[]): Promise<FaultRecord[]>
  /** In force, and the latest that have ended, in the order they began. */
  abstract faults(): Promise<FaultRecord[]>
  /** Starts a machine that a fault keeps off; that ends the fault. No error if it runs. */
  abstract startMachine(name: string): Promise<void>
  abstract [Symbol.asyncDispose](): Promise<void>

  /**
   * The cluster for kubectl and client libraries of Kubernetes, as its administrator: a kubeconfig's text, which names
   * the first controller that can be reached now.
   */
  async kubeconfig(): Promise<string> {
    const context = this.clusterContext
    const addresses = kubeAddresses(context)
    const reachable = await firstReachable(addresses, this.end.signal)
    return kubeconfig(context, await this.credentials(), reachable ?? addresses[0]!)
  }

  /**
   * Makes the cluster match manifests: a file or directory, an http(s) address, an object or several. The objects as
   * they are then. If one is refused nothing is written, and the error names each field with its place.
   */
  async apply(manifests: Manifests, options: InNamespace = {}): Promise<AnyResource[]> {
    checkOptionsOf('apply', options, ['namespace'])
    const { namespace } = options
    return applyManifests(this.client, manifests, namespace, this.end.signal)
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
    const { namespace, graceSeconds } = options
    await deleteObjects(this.client, objects, { namespace, graceSeconds, timeout }, this.end.signal)
  }

  /**
   * Waits for an object, "deployment/web": see `Goal` for what it may be waited for. The object then; undefined once it
   * is deleted. DeadlineExceeded, with what it was like last, after `within` (60 s unless said).
   */
  async until(
    object: string,
    goal: Goal = 'Ready',
    options: InNamespace & WaitOptions = {},
  ): Promise<AnyResource | undefined> {
    const timeout = patienceOf('until', options, ['namespace'])
    const key = objectNamed(object, options.namespace, this.client.kinds)
    return awaitObject(this.client, key, goal, timeout, this.end.signal)
  }

  /**
   * Waits for what only the application knows: asks again and again until the answer is true. Any other answer, and any
   * error, says why it is not so yet; DeadlineExceeded with the last after `within` (60 s unless said).
   */
  async eventually(probe: () => unknown, options: WaitOptions = {}): Promise<void> {
    await eventually(probe, systemClock, patienceOf('eventually', options), this.end.signal)
  }

  /** Runs the command line, on this host, against this cluster; whatever its exit code is, it is the answer. */
  async gantry(args: readonly string[], stdin = ''): Promise<CommandResult> {
    const env = { ...process.env, GANTRY_CONFIG: await this.contextFile(), NO_COLOR: '1' }
    return run(process.execPath, [bundlePath('gantry.cjs'), '--context', this.clusterContext.name, ...args], {
      env,
      stdin,
      timeout: COMMAND_TIMEOUT_MS,
      signal: this.end.signal,
      allow: ANY_CODE,
    })
  }

  get nodes(): readonly RigMachine[] {
    return this.machines.filter(({ role }) => role === 'node')
  }

  /** As `machine`, for a node; InvalidArgument for another machine. */
  node(name: string): RigMachine {
    const machine = this.machine(name)
    if (machine.role === 'node') return machine
    throw new GantryError('InvalidArgument', `"${name}" is a ${machine.role}, not a node`, {
      details: [{ field: 'name', value: name, remedy: '`machine(name)` takes any' }],
    })
  }

  /**
   * Begins a fault of any kind; `values` are its parameters (lengths of time in milliseconds, sizes in bytes).
   * InvalidArgument for a kind or values that do not fit, FailedPrecondition for what the driver cannot do.
   */
  async fault(kind: string, values: Readonly<Record<string, unknown>>, options: BeginOptions = {}): Promise<Fault> {
    checkOptionsOf('fault', options, ['for', 'source'])
    return new Fault(await this.beginFault(kind, values, options), this)
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

  /**
   * Puts an image into the rig's registry, where nodes find it with every pull policy: an archive or OCI layout on this
   * host by its path, or an image of the Docker engine here by its name. `name`: for one that its archive has no name
   * for.
   */
  async push(image: string, options: { readonly name?: string | undefined } = {}): Promise<readonly LoadedImage[]> {
    checkOptionsOf('push', options, ['name'])
    const { name } = options
    return pushImages(image, this.registry, { name, signal: this.end.signal })
  }

  /** What the registry holds. */
  images(): Promise<RegistryImage[]> {
    return listRegistryImages(this.registry, this.end.signal)
  }

  /** Ends what is under way, which says why, and the connections; the rig goes on. */
  protected letGo(why: string): void {
    this.end.abort(new GantryError('Cancelled', why))
    this.client.close()
    this.client.kinds.close()
  }
}
