/**
 * A Gantry cluster of several nodes as one test container, for https://node.testcontainers.org:
 *
 *     import { GantryContainer } from 'gantry/testcontainers'
 *
 *     const cluster = await new GantryContainer().withNodes(3).start()
 *     const rig = cluster.getRig()
 *     await rig.apply('web.yaml')
 *     await rig.until('deployment/web', 'Available')
 *     await cluster.stop()
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import {
  AbstractStartedContainer,
  GenericContainer,
  getContainerRuntimeClient,
  ImageName,
  Wait,
  type RestartOptions,
  type StartedTestContainer,
  type StopOptions,
  type StoppedTestContainer,
} from 'testcontainers'
import { parse } from 'yaml'
import { loadCredentials, type Context, type Contexts, type Credentials } from '../../../proto/client/context.ts'
import { formatContexts, upsertContext } from '../../../proto/client/context-changes.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { CONTROLLER_HOST } from '../../../proto/rpc/rpc.ts'
import { ensureNodeImage, REPOSITORY } from '../../node-image/node-image.ts'
import type { CalledMachine } from '../commands/call.ts'
import { installationRoot } from '../installation.ts'
import { CONTROLLER_COUNTS, CONTROLLER_PORT, KUBE_PORT, REGISTRY_PORT } from '../layout.ts'
import { ContainerRig } from './container-rig.ts'

export { GantryError } from '../../../proto/base/errors.ts'
export { ContainerRig } from './container-rig.ts'

const RIG = 'default'
/** Where the rig of the container has the context of its administrator. */
const CONTEXT_FILE = `/var/lib/gantry/rigs/${RIG}/context.yaml`
/**
 * Where machines' disks and container images are: not on the container's own layers, on which no others can be laid.
 */
const STATE = '/var/lib/gantry'
/** What one container may hold: each node takes a loop device and about 60 MiB of memory. */
const MAX_NODES = 50
const STARTUP_TIMEOUT = 120_000
const RYUK_DISABLED = 'TESTCONTAINERS_RYUK_DISABLED'
const RYUK_LABEL = 'org.testcontainers.ryuk=true'
const RYUK_MISSING = `testcontainers' own cleaner, Ryuk, does not run. Where its image cannot be had, set ${RYUK_DISABLED}=true; containers are then removed by stop() alone`
/** Lines of the container's log that are in the error when it does not start. */
const LAST_LINES = 15

/**
 * Describes a cluster; `start` makes it. All that GenericContainer has is there: networks shared with other containers,
 * log consumers, reuse, limits. Without an image it is built at the first start, out of the distribution's packages and
 * this very Gantry.
 */
export class GantryContainer extends GenericContainer {
  readonly #imageGiven: boolean
  #nodes = 3
  #controllers = 1
  #flags: string[] = []
  /** What was asked for has been told to GenericContainer. */
  #described = false
  #lastLines = ''
  /** The container of the start under way, once the engine has made it. */
  #created: string | undefined

  constructor(image?: string) {
    super(image ?? REPOSITORY)
    this.#imageGiven = image !== undefined
    this.withPrivilegedMode().withStartupTimeout(STARTUP_TIMEOUT).withTmpFs({ '/run': 'exec,mode=755' })
    this.waitStrategy = Wait.forLogMessage(/^The cluster is up\.$/m)
    this.createOpts.Volumes = { [STATE]: {} }
    Object.assign(this.hostConfig, { Init: true, CgroupnsMode: 'private', PidsLimit: -1 })
  }

  /** How many nodes; 3 unless said. */
  withNodes(nodes: number): this {
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES)
      throw new GantryError('InvalidArgument', `a container holds 1 to ${MAX_NODES} nodes, not ${nodes}`, {
        details: [{ field: 'nodes', value: String(nodes) }],
      })
    this.#nodes = nodes
    return this
  }

  /** How many controllers: 1 (unless said), 3 or 5. */
  withControllers(controllers: number): this {
    if (!CONTROLLER_COUNTS.includes(controllers))
      throw new GantryError(
        'InvalidArgument',
        `a cluster has ${CONTROLLER_COUNTS.join(', ')} controllers, not ${controllers}`,
        { details: [{ field: 'controllers', value: String(controllers) }] },
      )
    this.#controllers = controllers
    return this
  }

  /** Further flags of `gantry rig up`, such as "--memory", "512Mi". */
  withRigFlags(...flags: string[]): this {
    this.#flags = [...this.#flags, ...flags]
    return this
  }

  /**
   * Makes the cluster; resolves when every node is Ready. An Error with the end of the container's log if it does not
   * come up.
   */
  override async start(): Promise<StartedGantryContainer> {
    if (!this.#imageGiven) {
      const {
        container: { dockerode },
      } = await getContainerRuntimeClient()
      this.imageName = ImageName.fromString(await ensureNodeImage(dockerode, { root: installationRoot() }))
      this.createOpts.Image = this.imageName.string
    }
    const ports = { controllers: this.#portsFrom(CONTROLLER_PORT), kube: this.#portsFrom(KUBE_PORT) }
    if (!this.#described) {
      this.#described = true
      this.withCommand(['--nodes', String(this.#nodes), '--controllers', String(this.#controllers), ...this.#flags])
      this.withEnvironment({ LOOP_DEVICES: String(this.#nodes + this.#controllers + 1), GANTRY_CONFIG: CONTEXT_FILE })
      this.withExposedPorts(...ports.controllers, ...ports.kube, REGISTRY_PORT)
      this.#keepLastLines()
    }
    this.#created = undefined
    try {
      return await StartedGantryContainer.over(await super.start(), ports)
    } catch (cause) {
      const remedy = await this.#removeFailed()
      const lines = [
        `the cluster did not come up: ${(cause as Error).message}`,
        remedy,
        this.#lastLines.trim().split('\n').slice(-LAST_LINES).join('\n'),
      ]
      throw new Error(lines.filter((line) => line !== '').join('\n'), { cause })
    }
  }

  protected override containerCreated(containerId: string): Promise<void> {
    this.#created = containerId
    return Promise.resolve()
  }

  /**
   * Of a start that failed half-way nobody has a handle to stop it by: its container is removed. Answers with what to
   * do, where that is known.
   */
  async #removeFailed(): Promise<string> {
    try {
      const {
        container: { dockerode },
      } = await getContainerRuntimeClient()
      if (this.#created !== undefined) await dockerode.getContainer(this.#created).remove({ force: true, v: true })
      else if (
        process.env[RYUK_DISABLED] !== 'true' &&
        !(await dockerode.listContainers({ filters: { label: [RYUK_LABEL] } })).some(({ State }) => State === 'running')
      )
        return RYUK_MISSING
    } catch (thrown) {
      // Gone already, as testcontainers removes what does not become ready; or the engine is, which the start's own
      // error tells.
      if (statusOf(thrown) === undefined) return ''
    }
    return ''
  }

  /** One of each controller. */
  #portsFrom(first: number): number[] {
    return Array.from({ length: this.#controllers }, (_, at) => first + at)
  }

  /** Reads the log along with whoever else does. */
  #keepLastLines(): void {
    const { logConsumer } = this
    this.logConsumer = (stream: Readable) => {
      stream.on(
        'data',
        (chunk: Buffer | string) => (this.#lastLines = (this.#lastLines + chunk.toString()).slice(-10_000)),
      )
      return logConsumer?.(stream)
    }
  }
}

/** How a cluster is reached: what a context file says, with its texts in place. */
export type GantryContext = Context & Credentials

/** The container's own: those of the controllers, and of their Kubernetes API. */
interface Ports {
  readonly controllers: readonly number[]
  readonly kube: readonly number[]
}

interface Reached {
  /** With the controllers' addresses inside of the container. */
  readonly context: GantryContext
  readonly machines: readonly CalledMachine[]
}

export class StartedGantryContainer extends AbstractStartedContainer {
  readonly #ports: Ports
  #context: GantryContext
  #rig: ContainerRig
  #folder: Promise<string> | undefined
  #stopping: Promise<StoppedTestContainer> | undefined

  private constructor(started: StartedTestContainer, ports: Ports, reached: Reached) {
    super(started)
    this.#ports = ports
    this.#context = reached.context
    this.#rig = this.#open(reached)
  }

  static async over(started: StartedTestContainer, ports: Ports): Promise<StartedGantryContainer> {
    return new StartedGantryContainer(started, ports, await reach(started))
  }

  #open({ machines }: Reached): ContainerRig {
    return new ContainerRig({
      context: this.getContext(),
      contextFile: () => this.getContextFile(),
      registry: this.getRegistry(),
      machines,
      exec: (command) => this.exec(command),
      copyIn: (source, target) => this.copyFilesToContainer([{ source, target }]),
    })
  }

  /** Makes the cluster anew, with other certificates: what `getRig` and `getContext` gave before is of no use then. */
  override async restart(options?: Partial<RestartOptions>): Promise<void> {
    this.#rig.close()
    await super.restart(options)
    const reached = await reach(this.startedTestContainer)
    this.#context = reached.context
    this.#rig = this.#open(reached)
  }

  /** How the cluster is reached from this host. */
  getContext(): GantryContext {
    const mapped = (ports: readonly number[]): string[] =>
      ports.map((port) => `${this.getHost()}:${this.getMappedPort(port)}`)
    return { ...this.#context, server: mapped(this.#ports.controllers), kube: mapped(this.#ports.kube) }
  }

  /** How the cluster is reached from other containers, by a network alias of this one. */
  getAliasedContext(alias: string): GantryContext {
    const named = (ports: readonly number[]): string[] => ports.map((port) => `${alias}:${port}`)
    return { ...this.#context, server: named(this.#ports.controllers), kube: named(this.#ports.kube) }
  }

  /**
   * The path of a file with that context, for `gantry --config`, $GANTRY_CONFIG; it goes when the container is stopped.
   */
  async getContextFile(): Promise<string> {
    this.#folder ??= mkdtemp(join(tmpdir(), 'gantry-container-'))
    const file = join(await this.#folder, 'config.yaml')
    await upsertContext(file, this.getContext(), { makeCurrent: true })
    return file
  }

  /**
   * host:port of the cluster's registry, from this host: images that are pushed here are found by every node, as those
   * of docker.io. Plain HTTP.
   */
  getRegistry(): string {
    return `${this.getHost()}:${this.getMappedPort(REGISTRY_PORT)}`
  }

  /** The cluster, its machines and their faults. */
  getRig(): ContainerRig {
    return this.#rig
  }

  /**
   * Stops the container and removes what belongs to it, however far it came: again is no error, nor is a container that
   * is gone already. Unavailable if the engine does not answer; what is here is removed even so.
   */
  override stop(options?: Partial<StopOptions>): Promise<StoppedTestContainer> {
    this.#stopping ??= this.#stop(options).catch((thrown: unknown) => {
      this.#stopping = undefined // may be tried again
      throw thrown
    })
    return this.#stopping
  }

  async #stop(options: Partial<StopOptions> | undefined): Promise<StoppedTestContainer> {
    this.#rig.close()
    const id = this.getId()
    const [stopped] = await Promise.allSettled([this.startedTestContainer.stop(options), this.#removeFolder()])
    if (stopped.status === 'fulfilled') return stopped.value
    switch (statusOf(stopped.reason)) {
      case 304:
      case 404: // stopped or removed by another
        return {
          getId: () => id,
          copyArchiveFromContainer: () => Promise.reject(new GantryError('NotFound', `the container ${id} is gone`)),
        }
      case undefined:
        throw new GantryError(
          'Unavailable',
          `the Docker engine does not answer: the container ${id} may go on running: ${(stopped.reason as Error).message}`,
          { cause: stopped.reason },
        )
      default:
        throw stopped.reason
    }
  }

  async #removeFolder(): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined) // one that was not made need not be removed
    this.#folder = undefined
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
}

/** Of an answer of the engine; undefined for what is none. */
function statusOf(thrown: unknown): number | undefined {
  return (thrown as { statusCode?: number }).statusCode
}

/** Asks the container how its cluster is reached. */
async function reach(started: StartedTestContainer): Promise<Reached> {
  const read = async (command: string[]): Promise<string> => {
    const { exitCode, stdout, output } = await started.exec(command)
    if (exitCode !== 0)
      throw new GantryError(
        'Internal',
        `${command.join(' ')} in the container ended with ${exitCode}: ${output.trim()}`,
      )
    return stdout
  }
  const [text, answer] = await Promise.all([read(['cat', CONTEXT_FILE]), read(['gantry', 'rig', 'call', 'machines'])])
  const context = (parse(text) as Contexts).contexts.find(({ name }) => name === RIG)!
  const { value: machines } = JSON.parse(answer) as { value: CalledMachine[] }
  // Whatever name or address it is reached by, it is the controller's certificate that must be shown.
  return {
    context: { ...context, ...(await loadCredentials(context, CONTEXT_FILE))!, serverName: CONTROLLER_HOST },
    machines,
  }
}

/** A context file's text, for a container that is to have it. */
export function contextFileText(context: GantryContext): Promise<string> {
  return formatContexts({ contexts: [context], currentContext: context.name })
}
