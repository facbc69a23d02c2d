/** The node's bridge, and pods' network namespaces joined to it by veth pairs. */
import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { mkdir, readFile, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import { systemClock, type Clock, type Timer } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Run } from '../launcher.ts'
import { AddressPool } from './address-pool.ts'
import { BRIDGE, addressBridge, deleteLinks, firewall, isPortName, makeBridge, noAdvertisements, noFirewall, nodeSide, podSide, portName } from './commands.ts'
import type { Attachment, Network } from './contract.ts'

export interface BridgeNetworkOptions {
  /** Namespaces are pinned in its directory `netns`. */
  readonly stateDir: string
  readonly logger: Logger
  /** Path of the network namespace that holds the bridge; the agent's own if undefined. */
  readonly netns?: string
  /** The system's if undefined. */
  readonly clock?: Clock
  /** Namespaces kept ready (default 8). */
  readonly prepared?: number
  /** Bytes (default 1500). */
  readonly mtu?: number
  /** How programs are run (default: straight from this process). */
  readonly run?: Run
}

/** Namespaces made at once: each costs two processes and some milliseconds of kernel time. */
const BATCH = 4
/** Milliseconds from taking a ready one to making another: the pod that took it is started first. */
const REFILL_DELAY = 100
const READY_PREFIX = 'ready-'
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

interface Waiter {
  readonly id: string
  readonly resolve: (attachment: Attachment) => void
  readonly reject: (error: GantryError) => void
}

/**
 * On disk each namespace is a directory `netns/<id>` with the pin `net` in it (those made ahead: `netns/ready-<address>`). Giving one to a
 * pod is one rename of the directory, which the mount inside follows; the interface is named by the address. So there is nothing else to
 * record: the caller keeps id and address (`known`), and whatever it does not know is a leftover.
 */
export class BridgeNetwork implements Network {
  readonly #stateDir: string
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #netns: string | undefined
  readonly #prepared: number
  readonly #mtu: number
  readonly #run: Run
  readonly #attached = new Map<string, Attachment>()
  readonly #attaching = new Map<string, Promise<Attachment>>()
  readonly #detaching = new Map<string, Promise<void>>()
  /** Addresses whose namespaces are ready. */
  readonly #ready: string[] = []
  readonly #waiting: Waiter[] = []
  readonly #removals: { readonly directory: string; readonly address: string }[] = []
  /** With symbolic links resolved, as the kernel lists mounts. */
  #root = ''
  #addresses: AddressPool | undefined
  #filling: Promise<void> | undefined
  #refill: Timer | undefined
  #removing: Promise<void> | undefined
  #stopped = false

  constructor(options: BridgeNetworkOptions) {
    this.#stateDir = options.stateDir
    this.#logger = options.logger
    this.#clock = options.clock ?? systemClock
    this.#netns = options.netns
    this.#prepared = options.prepared ?? 8
    this.#mtu = options.mtu ?? 1500
    this.#run = options.run ?? run
  }

  async start(podCidr: string, known: ReadonlyMap<string, Attachment>): Promise<void> {
    const addresses = new AddressPool(podCidr)
    this.#addresses = addresses
    this.#stopped = false
    await mkdir(join(this.#stateDir, 'netns'), { recursive: true, mode: 0o700 })
    this.#root = await realpath(join(this.#stateDir, 'netns'))
    const mounted = await this.#mounted()
    for (const [id, attachment] of known) {
      if (!mounted.has(attachment.netns)) {
        this.#logger.warn({ id, netns: attachment.netns }, 'the network namespace is gone')
        continue
      }
      if (!addresses.reserve(attachment.address)) this.#logger.warn({ id, address: attachment.address, podCidr }, 'the address of a living pod is outside the pod range')
      this.#attached.set(id, attachment)
    }
    await this.#makeBridge(addresses)
    await this.#removeLeftovers()
    await this.#node('nft', ['-f', '-'], firewall(addresses.cidr))
    await this.#node('sh', ['-c', `echo 1 > /proc/sys/net/ipv4/ip_forward; ${noAdvertisements(BRIDGE)}`])
    this.#fill()
  }

  attach(id: string): Promise<Attachment> {
    const known = this.#attached.get(id)
    if (known !== undefined) return Promise.resolve(known)
    const under = this.#attaching.get(id)
    if (under !== undefined) return under
    const attaching = this.#attach(id).finally(() => this.#attaching.delete(id))
    this.#attaching.set(id, attaching)
    return attaching
  }

  detach(id: string): Promise<void> {
    const under = this.#detaching.get(id)
    if (under !== undefined) return under
    const detaching = this.#detach(id).finally(() => this.#detaching.delete(id))
    this.#detaching.set(id, detaching)
    return detaching
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#refill?.cancel()
    this.#refill = undefined
    if (this.#addresses === undefined) return
    await this.#filling
    for (const address of this.#ready.splice(0)) this.#removals.push({ directory: join(this.#root, READY_PREFIX + address), address })
    await this.#remove()
    await this.#removeNodeParts()
  }

  async #attach(id: string): Promise<Attachment> {
    if (!NAME.test(id) || id.startsWith(READY_PREFIX)) throw new GantryError('InvalidArgument', `"${id}" cannot name a network namespace`)
    await this.#detaching.get(id)
    if (this.#addresses === undefined || this.#stopped) throw new GantryError('FailedPrecondition', 'the pod network is not started')
    const address = this.#ready.shift()
    if (address !== undefined) {
      this.#fillLater()
      return this.#give(id, address)
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      this.#fill()
    })
  }

  #give(id: string, address: string): Attachment {
    const directory = join(this.#root, id)
    renameSync(join(this.#root, READY_PREFIX + address), directory)
    const attachment = { netns: join(directory, 'net'), address }
    this.#attached.set(id, attachment)
    return attachment
  }

  async #detach(id: string): Promise<void> {
    const attaching = this.#attaching.get(id)
    if (attaching !== undefined) await Promise.allSettled([attaching])
    const attachment = this.#attached.get(id)
    if (attachment === undefined) return
    this.#removals.push({ directory: join(this.#root, id), address: attachment.address })
    await this.#remove()
    this.#attached.delete(id)
    if (this.#stopped) await this.#removeNodeParts()
  }

  /** Keeps one filler running as long as somebody waits or fewer than wanted are ready. */
  #fill(): void {
    if (this.#filling !== undefined || !this.#wanted()) return
    this.#filling = this.#fillUp().finally(() => {
      this.#filling = undefined
      if (this.#waiting.length > 0) this.#fill()
    })
  }

  #fillLater(): void {
    this.#refill ??= this.#clock.after(REFILL_DELAY, () => {
      this.#refill = undefined
      this.#fill()
    })
  }

  #wanted(): boolean {
    return this.#waiting.length > 0 || (!this.#stopped && this.#ready.length < this.#prepared)
  }

  async #fillUp(): Promise<void> {
    while (this.#wanted()) {
      const count = Math.min(BATCH, this.#waiting.length + Math.max(0, this.#prepared - this.#ready.length))
      try {
        const made = await this.#make(Math.max(1, count))
        if (made.length === 0) throw new GantryError('ResourceExhausted', `no address is free in ${this.#addresses!.cidr}`)
        for (const address of made) {
          const waiter = this.#waiting.shift()
          if (waiter === undefined) this.#ready.push(address)
          else try {
            waiter.resolve(this.#give(waiter.id, address))
          } catch (thrown) {
            waiter.reject(GantryError.from(thrown))
          }
        }
      } catch (thrown) {
        const error = GantryError.from(thrown)
        if (this.#waiting.length === 0 && error.code !== 'ResourceExhausted') this.#logger.warn({ err: error }, 'cannot make a network namespace ahead')
        for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
        return
      }
    }
  }

  /** Makes up to `count` namespaces joined to the bridge; fewer when addresses run out. What a failure leaves half-made is removed. */
  async #make(count: number): Promise<string[]> {
    const pool = this.#addresses!
    const taken: string[] = []
    for (let address = pool.take(); address !== undefined; address = taken.length < count ? pool.take() : undefined) taken.push(address)
    const made = await Promise.allSettled(taken.map((address) => this.#makeNamespace(address, pool)))
    const failed = made.find((result) => result.status === 'rejected')
    try {
      if (failed !== undefined) throw failed.reason
      if (taken.length > 0) await this.#node('ip', ['-batch', '-'], nodeSide(taken))
      return taken
    } catch (error) {
      for (const address of taken) this.#removals.push({ directory: join(this.#root, READY_PREFIX + address), address })
      await this.#remove()
      throw error
    }
  }

  async #makeNamespace(address: string, pool: AddressPool): Promise<void> {
    const directory = join(this.#root, READY_PREFIX + address)
    mkdirSync(directory, { recursive: true, mode: 0o711 })
    const pin = join(directory, 'net')
    closeSync(openSync(pin, 'a'))
    const nodeNetns = this.#netns ?? `/proc/${process.pid}/ns/net`
    await this.#run('unshare', [`--net=${pin}`, '--', 'sh', '-c', `${noAdvertisements('default')}; exec ip -batch -`], { stdin: podSide({ address, prefix: pool.prefix, gateway: pool.gateway, mtu: this.#mtu, nodeNetns }) })
  }

  async #makeBridge(addresses: AddressPool): Promise<void> {
    const shown = await this.#node('ip', ['-json', 'addr', 'show', 'dev', BRIDGE], undefined, [0, 1])
    if (shown.code !== 0) await this.#node('ip', ['-batch', '-'], makeBridge(addresses.gateway, this.#mtu))
    const [link] = shown.code === 0 ? (JSON.parse(shown.stdout) as { addr_info?: { family: string; local: string; prefixlen: number }[] }[]) : []
    const present = (link?.addr_info ?? []).filter(({ family }) => family === 'inet').map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    const wanted = `${addresses.gateway}/${addresses.prefix}`
    await this.#node('ip', ['-batch', '-'], addressBridge(present.includes(wanted) ? undefined : wanted, present.filter((address) => address !== wanted)))
  }

  /** Directories and interfaces that no living attachment uses. */
  async #removeLeftovers(): Promise<void> {
    const living = new Set([...this.#attached.values()].map(({ netns }) => netns))
    const ports = new Set([...this.#attached.values()].map(({ address }) => portName(address)))
    const mounted = await this.#mounted()
    const names = (await readdir(this.#root)).filter((name) => !living.has(join(this.#root, name, 'net')))
    const stray = (await this.#links()).filter((name) => isPortName(name) && !ports.has(name))
    if (stray.length > 0) await this.#node('ip', ['-batch', '-'], deleteLinks(stray))
    await this.#unmount(names.map((name) => join(this.#root, name, 'net')), mounted)
    for (const name of names) await rm(join(this.#root, name), { recursive: true, force: true })
  }

  /** Removes everything that is queued for it; callers who come meanwhile share the next round. */
  async #remove(): Promise<void> {
    while (this.#removals.length > 0 || this.#removing !== undefined) {
      this.#removing ??= this.#removeBatch().finally(() => (this.#removing = undefined))
      await this.#removing
    }
  }

  async #removeBatch(): Promise<void> {
    const batch = this.#removals.splice(0)
    const present = new Set(await this.#links())
    const ports = batch.map(({ address }) => portName(address)).filter((name) => present.has(name))
    if (ports.length > 0) await this.#node('ip', ['-batch', '-'], deleteLinks(ports))
    await this.#unmount(batch.map(({ directory }) => join(directory, 'net')), await this.#mounted())
    for (const { directory, address } of batch) {
      await rm(directory, { recursive: true, force: true })
      this.#addresses?.release(address)
    }
  }

  /** With no pod left nothing of the network is. */
  async #removeNodeParts(): Promise<void> {
    if (this.#attached.size > 0) return
    if ((await this.#links()).length > 0 || (await this.#node('ip', ['link', 'show', 'dev', BRIDGE], undefined, [0, 1])).code === 0) {
      await this.#node('ip', ['-batch', '-'], deleteLinks([BRIDGE]))
    }
    await this.#node('nft', ['-f', '-'], noFirewall())
    await rm(this.#root, { recursive: true, force: true })
  }

  /** Names of the bridge's ports. */
  async #links(): Promise<string[]> {
    const shown = await this.#node('ip', ['-json', 'link', 'show', 'master', BRIDGE], undefined, [0, 1, 255])
    if (shown.code !== 0 || shown.stdout.trim() === '') return []
    return (JSON.parse(shown.stdout) as { ifname?: string }[]).flatMap(({ ifname }) => ifname ?? [])
  }

  async #mounted(): Promise<Set<string>> {
    const table = await readFile('/proc/self/mountinfo', 'utf8')
    return new Set(table.split('\n').map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${this.#root}/`)))
  }

  async #unmount(pins: readonly string[], mounted: ReadonlySet<string>): Promise<void> {
    const points = pins.filter((pin) => mounted.has(pin))
    if (points.length > 0) await this.#run('umount', points)
  }

  /** Runs a program where the bridge is. */
  #node(program: string, args: readonly string[], stdin?: string, allow: readonly number[] = [0]): Promise<{ code: number; stdout: string }> {
    const options = { allow, ...(stdin === undefined ? {} : { stdin }) }
    return this.#netns === undefined ? this.#run(program, args, options) : this.#run('nsenter', [`--net=${this.#netns}`, '--', program, ...args], options)
  }
}
