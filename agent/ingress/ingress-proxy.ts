/**
 * The node's part in serving Ingresses and Gateways: makes HAProxy do what the view says. Endpoints that come and go
 * are told to the running process; everything else is a new configuration. Confirms: when `apply` has ended, no
 * endpoint that is gone gets a new request from here.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { Semaphore } from '../../proto/base/semaphore.ts'
import type { Run } from '../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView } from '../network/contract.ts'
import { serviceOfSlice } from './backends.ts'
import { buildModel } from './build-model.ts'
import { renderHaproxyConfig } from './haproxy-config.ts'
import type { ProxyModel } from './proxy-model.ts'
import { portUnavailableReason, HaproxyProcess, ConfigRejectedError } from './haproxy-process.ts'
import { serverChanges } from './server-changes.ts'

/** What an object asks for and does not get. */
export interface IngressProblem {
  readonly kind: 'Ingress' | 'Gateway' | 'HTTPRoute'
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly reason: string
  readonly message: string
}

export interface IngressProxyOptions {
  /** For the proxy's configuration, keys among it: best in memory. */
  readonly directory: string
  /** The node's ports for Ingresses (default 80 and 443). */
  readonly http?: number
  readonly https?: number
  /** Where to listen, as HAProxy writes addresses (default: all the node's). */
  readonly addresses?: readonly string[]
  /** "address:port", for Services of type ExternalName. */
  readonly nameServers?: readonly string[]
  readonly run: Run
  readonly clock: Clock
  readonly logger: Logger
  /** Called once for each problem, and again if it comes back. */
  readonly report?: (problem: IngressProblem) => void
}

/** Milliseconds between looks whether HAProxy runs. */
const PROCESS_CHECK_INTERVAL_MS = 1_000
/** Looks until a port that was taken is tried again. */
const CHECKS_PER_PORT_RETRY = 5
/** Configurations tried without what HAProxy refuses in the one before. */
const ATTEMPTS = 5
/** Kinds whose every change may mean another configuration. */
const CONFIG_KINDS: ReadonlySet<string> = new Set([
  'Ingress',
  'IngressClass',
  'Gateway',
  'GatewayClass',
  'HTTPRoute',
  'ReferenceGrant',
  'Namespace',
  'Secret',
])
/** Milliseconds between looks whether servers have their addresses, and looks at most. */
const SERVER_POLL_INTERVAL_MS = 2
const SERVER_POLL_LIMIT = 1_000
const CLUSTER_NAME_SERVER = '169.254.20.10:53'

type Problem = ProxyModel['problems'][number]

export class IngressProxy implements NetworkReconciler {
  readonly name = 'ingress'
  readonly confirmsRevision = true
  readonly #options: IngressProxyOptions
  readonly #proxy: HaproxyProcess
  readonly #turn = new Semaphore(1)
  readonly #account = accountOf('haproxy')
  #adopted = false
  #view: NetworkView | undefined
  #model: ProxyModel | undefined
  /** Slice → the Service that it belonged to when it was last seen. */
  #slices = new Map<string, string>()
  /** Of the configuration tried last: line → owner. */
  #lastOwners: ReadonlyMap<number, string> = new Map()
  /** Port → why it cannot be served. */
  #unavailablePorts = new Map<number, string>()
  /** Owner → resourceVersion of the object of which HAProxy has refused something, and what. */
  readonly #refused = new Map<string, { readonly version: string; readonly message: string }>()
  #reported: ReadonlySet<string> = new Set()
  #timer: Timer | undefined
  #looks = 0
  #stopped = false

  constructor(options: IngressProxyOptions) {
    this.#options = options
    this.#proxy = new HaproxyProcess(options)
  }

  apply(view: NetworkView, change: NetworkChange): Promise<void> {
    this.#view = view
    return this.#turn.run(async () => {
      if (change.complete || [...change.keys].some((key) => this.#concerns(view, key))) await this.#follow(view)
      this.#watch()
    })
  }

  /** HAProxy goes on. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#turn.run(async () => undefined)
  }

  #concerns(view: NetworkView, key: string): boolean {
    const [kind = ''] = key.split('/', 1)
    if (CONFIG_KINDS.has(kind)) return true
    if (this.#model === undefined) return false
    const rest = key.slice(kind.length + 1)
    if (kind === 'Service')
      return this.#model.services.has(rest) || view.objects('Service').get(rest)?.spec.type === 'LoadBalancer'
    if (kind !== 'EndpointSlice') return false
    const slice = view.objects('EndpointSlice').get(rest)
    const now = slice === undefined ? undefined : serviceOfSlice(slice)
    const before = this.#slices.get(rest)
    if (now === undefined) this.#slices.delete(rest)
    else this.#slices.set(rest, now)
    return [now, before].some((service) => service !== undefined && this.#model!.services.has(service))
  }

  async #follow(view: NetworkView): Promise<void> {
    if (!this.#adopted) await this.#proxy.adopt()
    this.#adopted = true
    this.#slices = new Map(
      [...view.objects('EndpointSlice')].flatMap(([key, slice]) => {
        const service = serviceOfSlice(slice)
        return service === undefined ? [] : [[key, service] as const]
      }),
    )
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#serve(view)
      } catch (thrown) {
        if (
          !(thrown instanceof ConfigRejectedError) ||
          attempt === ATTEMPTS ||
          !this.#recordRejectedOwners(view, thrown)
        )
          throw thrown
      }
    }
  }

  async #serve(view: NetworkView): Promise<void> {
    const model = await this.#buildModel(view)
    this.#model = model
    this.#report(view, model)
    if (model.ports.length === 0) {
      if ((await this.#proxy.structure()) !== undefined || this.#proxy.running) await this.#proxy.end()
      return
    }
    const configuration = this.#render(model)
    const { running } = this.#proxy
    const same = running && (await this.#proxy.structure()) === configuration.structure
    // First what must not be used any more: a new configuration takes longer.
    const crowded = running && (await this.#updateServers(model))
    if (same && !crowded) return
    this.#lastOwners = configuration.owners
    await this.#proxy.load(configuration)
    this.#options.logger.info(
      { ports: model.ports.map(({ port }) => port), backends: model.backends.size },
      running ? 'ingress proxy changed' : 'ingress proxy started',
    )
  }

  async #buildModel(view: NetworkView): Promise<ProxyModel> {
    const { http = 80, https = 443 } = this.#options
    const wanted = [...view.objects('Ingress').values(), ...view.objects('Gateway').values()].length > 0
    const fallbackCertificate = wanted ? await this.#fallbackCertificate() : ''
    const model = buildModel(
      view,
      { http, https, fallbackCertificate },
      (owner) => this.#refused.get(owner)?.version === versionOf(view, owner),
    )
    return this.#dropUnavailablePorts(model)
  }

  /** Ports that others listen at are left out: with them HAProxy would not start. */
  async #dropUnavailablePorts(model: ProxyModel): Promise<ProxyModel> {
    const own = await this.#proxy.ports()
    const [first = ''] = this.#addresses
    const host = first === '*' ? '0.0.0.0' : first.replace(/^\[|\]$/g, '')
    this.#unavailablePorts = new Map()
    for (const { port } of model.ports) {
      const trouble = own.has(port) ? undefined : await portUnavailableReason(port, host)
      if (trouble !== undefined) this.#unavailablePorts.set(port, trouble)
    }
    const problems = model.ports.flatMap(({ port, owners }) => {
      const trouble = this.#unavailablePorts.get(port)
      return trouble === undefined
        ? []
        : owners.map((owner): Problem => ({
            owner,
            reason: 'PortUnavailable',
            message: `port ${port} of this node cannot be served: ${trouble}`,
          }))
    })
    return {
      ...model,
      ports: model.ports.filter(({ port }) => !this.#unavailablePorts.has(port)),
      problems: [...model.problems, ...problems],
    }
  }

  get #addresses(): readonly string[] {
    return this.#options.addresses ?? [existsSync('/proc/net/if_inet6') ? '::' : '*']
  }

  #render(model: ProxyModel) {
    const { nameServers = [CLUSTER_NAME_SERVER] } = this.#options
    return renderHaproxyConfig(model, {
      addresses: this.#addresses,
      account: this.#account,
      nameServers,
      directory: this.#options.directory,
    })
  }

  /** Makes the servers of the worker those of the model; true if a backend has no place for all of them. */
  async #updateServers(model: ProxyModel): Promise<boolean> {
    const { master } = this.#proxy
    const wanted = new Map(
      [...model.backends.values()].flatMap(({ name, destination }) =>
        destination.is === 'endpoints' ? [[name, destination.endpoints] as const] : [],
      ),
    )
    const current = (await master.workers()).find((worker) => worker.current)
    if (current === undefined) throw new GantryError('Unavailable', 'haproxy has no worker')
    const {
      addressChanges: moves,
      commands,
      overfullBackends: crowded,
      moved,
    } = serverChanges(await master.servers(current.pid), wanted)
    if (moves.length > 0) {
      await master.run(current.pid, moves)
      for (let looks = 0; !moved(await master.servers(current.pid)); looks++) {
        if (looks === SERVER_POLL_LIMIT)
          throw new GantryError('DeadlineExceeded', 'haproxy has not taken the addresses of new endpoints')
        await delay(this.#options.clock, SERVER_POLL_INTERVAL_MS)
      }
    }
    await master.run(current.pid, commands)
    return crowded.length > 0
  }

  /** Notes the objects that the refused lines come from; false if they come from none. */
  #recordRejectedOwners(view: NetworkView, refusal: ConfigRejectedError): boolean {
    const owners = [...refusal.lines].flatMap(([line, message]) => {
      const owner = this.#lastOwners.get(line)
      return owner === undefined ? [] : [{ owner, message }]
    })
    for (const { owner, message } of owners) this.#refused.set(owner, { version: versionOf(view, owner), message })
    return owners.length > 0
  }

  #report(view: NetworkView, model: ProxyModel): void {
    for (const [owner, { version }] of this.#refused)
      if (version !== versionOf(view, owner)) this.#refused.delete(owner)
    const refused = [...this.#refused].map(([owner, { message }]): Problem => ({
      owner,
      reason: 'Refused',
      message: `the proxy refuses it: ${message}`,
    }))
    const problems = new Map([...model.problems, ...refused].map((problem) => [JSON.stringify(problem), problem]))
    for (const [key, { owner, reason, message }] of problems) {
      if (this.#reported.has(key)) continue
      this.#options.logger.warn({ object: owner, reason }, message)
      const object = objectOf(view, owner)
      if (object !== undefined)
        this.#options.report?.({
          kind: object.kind,
          namespace: object.metadata.namespace,
          name: object.metadata.name,
          uid: object.metadata.uid,
          reason,
          message,
        })
    }
    this.#reported = new Set(problems.keys())
  }

  async #fallbackCertificate(): Promise<string> {
    const path = join(this.#options.directory, 'fallback.pem')
    try {
      return await readFile(path, 'utf8')
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw GantryError.from(thrown)
    }
    const pem = await (await import('./self-signed.ts')).selfSignedCertificate(this.#options.clock)
    await writeFile(`${path}.new`, pem, { mode: 0o600 })
    await rename(`${path}.new`, path)
    return pem
  }

  #watch(): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = this.#options.clock.after(PROCESS_CHECK_INTERVAL_MS, () => {
      this.#timer = undefined
      void this.#look().finally(() => this.#watch())
    })
  }

  /** HAProxy is started again if it has ended, ports that were taken are tried again. */
  async #look(): Promise<void> {
    this.#looks = (this.#looks + 1) % CHECKS_PER_PORT_RETRY
    const missing = this.#model !== undefined && this.#model.ports.length > 0 && !this.#proxy.running
    const again = missing || (this.#unavailablePorts.size > 0 && this.#looks === 0)
    if (!again || this.#stopped) return
    if (missing) this.#options.logger.warn('haproxy has ended, it is started again')
    try {
      await this.#turn.run(async () => {
        if (!this.#stopped) await this.#follow(this.#view!)
      })
    } catch (thrown) {
      this.#options.logger.error({ err: GantryError.from(thrown) }, 'Ingresses cannot be served')
    }
  }
}

function objectOf(view: NetworkView, owner: string) {
  const [kind, namespace, name] = owner.split('/')
  return kind === 'Ingress' || kind === 'Gateway' || kind === 'HTTPRoute'
    ? view.objects(kind).get(`${namespace}/${name}`)
    : undefined
}

function versionOf(view: NetworkView, owner: string): string {
  return objectOf(view, owner)?.metadata.resourceVersion ?? ''
}

/** The account that the distribution's package makes, if it is there and the agent may change to it. */
function accountOf(name: string): { readonly user: string; readonly group: string } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const exists = (file: string): boolean =>
    readFileSync(file, 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name}:`))
  return exists('/etc/passwd') && exists('/etc/group') ? { user: name, group: name } : undefined
}
