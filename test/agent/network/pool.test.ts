import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { RoutedNetwork } from '../../../agent/network/routed-network.ts'
import { portName } from '../../../agent/network/commands.ts'
import type { Attachment, HostPort, NodeRanges } from '../../../agent/network/contract.ts'
import type { Run } from '../../../agent/host/launcher.ts'
import type { SystemCaller } from '../../../agent/host/system-calls.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'

/** A /28 has 13 addresses for pods. */
const RANGES: NodeRanges = {
  podCidrs: ['10.1.0.0/28', 'fd00:1::/64'],
  cluster: { podCidrs: ['10.1.0.0/16', 'fd00::/16'], serviceCidrs: [], domain: 'cluster.local' },
}
const MOST = 13
const NETLINK_ROUTE = 0
const RTM_NEWLINK = 16
const RTM_DELLINK = 17
/** Of nf_tables, with the number of the subsystem. */
const NEW_ELEMENT = 0xa0c
const DELETE_ELEMENT = 0xa0e
/** Interface, hardware address, address. */
const BYTES_OF_KEY = { 4: 16 + 8 + 4, 6: 16 + 8 + 16 } as const
/** Names of pods that come and go. */
const PODS = 18

/**
 * What programs would have done to a machine: which interfaces there are, and what the tables hold. Some of them fail.
 */
class FakeMachine {
  readonly links = new Set<string>()
  readonly elements = new Map<string, Set<string>>()
  /** How many more programs run before one fails, and how many fail then. */
  failAfter = Infinity
  failing = 1

  readonly run: Run = (program, args, options = {}) => {
    const stdin = String(options.stdin ?? '')
    if (this.failAfter-- <= 0) {
      if (--this.failing === 0) this.failAfter = Infinity
      return Promise.reject(new GantryError('Internal', `${program} failed`))
    }
    let stdout = ''
    if (program === 'ip' && args.includes('veth'))
      stdout = JSON.stringify([...this.links].map((ifname) => ({ ifname, mtu: 1450 })))
    else if (program === 'ip' && args[0] === '-json') stdout = '[]'
    else if (program === 'ip' && args[0] === '-batch') this.#ip(stdin)
    else if (program === 'nft') this.#nft(stdin)
    return Promise.resolve({ code: 0, stdout, stderr: '' })
  }

  readonly calls: SystemCaller = {
    make: async (calls) => {
      const results = await this.calls.makeEach(calls)
      for (const { error } of results) if (error !== undefined) throw error
      return results
    },
    makeEach: async (calls) => {
      const fails = this.failAfter-- <= 0
      if (fails && --this.failing === 0) this.failAfter = Infinity
      // What fails has done half of it.
      const results = calls.slice(0, fails ? calls.length / 2 : undefined).map((call) => {
        const errno = call.call === 'netlink' ? this.#netlink(call.protocol, call.bytes) : undefined
        const error = errno === undefined ? undefined : new GantryError('Internal', errno)
        return { errno, error, data: Buffer.alloc(0) }
      })
      if (fails) throw new GantryError('Internal', 'the calls failed')
      return results
    },
  }

  /** What became of it: an error's name, or nothing. */
  #netlink(protocol: number, bytes: Buffer): string | undefined {
    const text = bytes.toString('latin1')
    const [port] = /gv[0-9a-f]{8}(?=\0)/.exec(text) ?? []
    const type = bytes.readUInt16LE(4)
    if (protocol === NETLINK_ROUTE) {
      if (type === RTM_DELLINK) return this.links.delete(port!) ? undefined : 'ENODEV'
      if (type !== RTM_NEWLINK || port === undefined) return undefined
      if (text.includes('veth')) this.links.add(port)
      else assert.ok(this.links.has(port), `${port} is not there`)
      return undefined
    }
    // A change of the guard's sets: a message each, between a beginning and an end.
    for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) {
      const message = bytes.subarray(at, at + bytes.readUInt32LE(at))
      const key = message.toString('latin1').slice(-BYTES_OF_KEY[message.includes('pods6') ? 6 : 4])
      const set = `gantry_guard pods${message.includes('pods6') ? 6 : 4}`
      const held = this.elements.get(set) ?? new Set()
      this.elements.set(set, held)
      if (message.readUInt16LE(4) === NEW_ELEMENT) held.add(key)
      else if (message.readUInt16LE(4) === DELETE_ELEMENT) assert.ok(held.delete(key), 'an element is not there')
    }
    return undefined
  }

  #ip(batch: string): void {
    for (const line of batch.split('\n')) {
      const [, name] = /^link del (\S+)$/.exec(line) ?? []
      if (name === 'gantry0') this.links.clear()
      else if (name !== undefined && !this.links.delete(name)) throw new Error(`${name} is not there`)
      const [, port] = /^link set (gv\S+) up/.exec(line) ?? []
      if (port !== undefined) assert.ok(this.links.has(port), `${port} is not there`)
    }
  }

  /** As nft does it: all or nothing. */
  #nft(text: string): void {
    for (const [, verb, name] of text.matchAll(/^(delete )?table \S+ (\S+)$/gm))
      if (verb !== undefined)
        for (const key of this.elements.keys()) if (key.startsWith(`${name} `)) this.elements.delete(key)
    for (const [, verb, table, set, element] of text.matchAll(/^(add|delete) element \S+ (\S+) (\S+) \{ (.*) \}$/gm)) {
      const key = `${table} ${set}`
      const held = this.elements.get(key) ?? new Set()
      this.elements.set(key, held)
      if (verb === 'add') {
        const [place] = element!.split(' : ')
        const other = [...held].find((one) => one.split(' : ')[0] === place && one !== element)
        assert.equal(other, undefined, `${element} is there as ${other}`)
        held.add(element!)
      } else {
        const found = [...held].find((one) => one.split(' : ')[0] === element)
        assert.ok(found !== undefined, `${element} is not there`)
        held.delete(found)
      }
    }
  }

  /** Whether a port of the node leads to the pod. */
  leads({ hostPort }: HostPort, address: string): boolean {
    return [...this.elements].some(
      ([key, held]) => key.startsWith('gantry_hostports any') && held.has(`tcp . ${hostPort} : ${address} . 80`),
    )
  }

  count(table: string): number {
    return [...this.elements].reduce((sum, [key, held]) => sum + (key.startsWith(`${table} `) ? held.size : 0), 0)
  }
}

type Step =
  | { is: 'attach'; pod: number; port: number | undefined }
  | { is: 'detach'; pod: number }
  | { is: 'restart'; killed: boolean }
  | { is: 'refill' }
  | { is: 'fail'; after: number; times: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constant('attach' as const),
      pod: fc.nat(PODS - 1),
      port: fc.option(fc.integer({ min: 80, max: 83 }), { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ is: fc.constant('detach' as const), pod: fc.nat(PODS - 1) }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('restart' as const), killed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('refill' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ is: fc.constant('fail' as const), after: fc.nat(6), times: fc.integer({ min: 1, max: 3 }) }),
  },
)

describe("addresses of a node's pods", function () {
  this.timeout(180_000)
  let directory: string

  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'gantry-pool-'))))
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('none is given twice and none is lost, whatever comes, goes, fails and begins anew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 25 }), async (rounds) => {
        const world = await World.make(await mkdtemp(join(directory, 'run-')))
        for (const round of rounds) {
          await Promise.all(round.map((one) => world.act(one)))
          world.check()
          const restart = round.find((one) => one.is === 'restart')
          if (restart !== undefined) await world.restart(restart.killed)
        }
        await world.end()
      }),
      { numRuns: 60 },
    )
  })
})

/** A machine with its agent, and what the agent's pods know. */
class World {
  readonly #stateDir: string
  readonly #machine = new FakeMachine()
  readonly #living = new Map<string, Attachment>()
  /** Those whose detaching failed: it is tried again; until then they may have their addresses or not. */
  readonly #leaving = new Map<string, Attachment>()
  #clock = new FakeClock()
  #network: RoutedNetwork
  #kill: () => void = () => undefined

  private constructor(stateDir: string) {
    this.#stateDir = stateDir
    this.#network = this.#make()
  }

  static async make(stateDir: string): Promise<World> {
    const world = new World(stateDir)
    await world.#network.start(RANGES, new Map())
    return world
  }

  /** What holds whenever nothing is under way. */
  check(): void {
    const given = [...this.#living.values()].flatMap(({ addresses }) => addresses)
    assert.equal(new Set(given).size, given.length, 'an address was given twice')
    const ports = [...this.#living.values()].flatMap(({ hostPorts = [] }) => hostPorts.map(({ hostPort }) => hostPort))
    assert.equal(new Set(ports).size, ports.length, 'a host port was given twice')
    for (const { address, hostPorts = [] } of this.#living.values()) {
      assert.ok(this.#machine.links.has(portName(address)), `the interface of ${address} is gone`)
      for (const port of hostPorts)
        assert.ok(this.#machine.leads(port, address), `port ${port.hostPort} does not lead to ${address}`)
    }
  }

  async act(one: Step): Promise<void> {
    switch (one.is) {
      case 'attach':
        return this.#attach(`pod${one.pod}`, one.port)
      case 'detach':
        return this.#detach(`pod${one.pod}`)
      case 'refill':
        return this.#clock.advance(100)
      case 'fail':
        Object.assign(this.#machine, { failAfter: one.after, failing: one.times })
        return
      case 'restart':
        return
    }
  }

  /** `killed`: at any moment; what was under way is never heard of again. */
  async restart(killed: boolean): Promise<void> {
    this.#machine.failAfter = Infinity
    if (killed) {
      this.#kill()
      await this.#quiet()
    } else await this.#network.stop()
    this.#clock = new FakeClock()
    this.#network = this.#make()
    const known = new Map([...this.#leaving, ...this.#living])
    // Of one whose detaching failed, the interface may be gone already.
    const present = [...known.values()].filter(
      ({ netns, address }) => existsSync(netns) && this.#machine.links.has(portName(address)),
    )
    await this.#network.start(RANGES, known)
    this.check()
    assert.equal(
      this.#machine.count('gantry_guard'),
      2 * present.length,
      'the guard knows exactly those that are there',
    )
  }

  /**
   * A process that is killed removes no file afterwards; the one that only counts as killed here may be in the middle
   * of it. It starts no program any more, so it is at rest once as many other looks at files have been taken as its
   * removals have steps.
   */
  async #quiet(): Promise<void> {
    for (let look = 0; look < 300; look++) await stat(this.#stateDir)
  }

  /** All go, every address can be had again, and then nothing is left. */
  async end(): Promise<void> {
    this.#machine.failAfter = Infinity
    // Also those that never heard of an address: something may be left of the attempt.
    for (let pod = 0; pod < PODS; pod++) await this.#detach(`pod${pod}`)
    assert.equal(this.#living.size + this.#leaving.size, 0)
    const all = await Promise.all(
      Array.from({ length: MOST }, async (_, index) => {
        try {
          return await this.#network.attach(`last${index}`)
        } catch (thrown) {
          // What was failing when this began.
          assert.equal(GantryError.from(thrown).code, 'Internal')
          return this.#network.attach(`last${index}`)
        }
      }),
    )
    assert.equal(new Set(all.map(({ address }) => address)).size, MOST)
    assert.equal(this.#machine.count('gantry_hostports'), 0)
    await assert.rejects(this.#network.attach('one-too-many'), { code: 'ResourceExhausted' })
    for (let index = 0; index < MOST; index++) await this.#network.detach(`last${index}`)
    await this.#network.stop()
    assert.deepEqual([...this.#machine.links], [])
    assert.equal(this.#machine.count('gantry_guard'), 0)
    assert.equal(existsSync(join(this.#stateDir, 'netns')), false)
    await rm(this.#stateDir, { recursive: true })
  }

  async #attach(id: string, port: number | undefined): Promise<void> {
    const hostPorts: HostPort[] =
      port === undefined ? [] : [{ protocol: 'TCP', hostPort: port, containerPort: 80, hostIP: undefined }]
    try {
      this.#living.set(id, await this.#network.attach(id, { hostPorts }))
      this.#leaving.delete(id)
    } catch (thrown) {
      assert.ok(['ResourceExhausted', 'Conflict', 'Internal'].includes(GantryError.from(thrown).code), String(thrown))
    }
  }

  async #detach(id: string): Promise<void> {
    try {
      await this.#network.detach(id)
      this.#living.delete(id)
      this.#leaving.delete(id)
    } catch (thrown) {
      assert.equal(GantryError.from(thrown).code, 'Internal')
      // It may have been attached meanwhile.
      const attachment = this.#living.get(id)
      this.#living.delete(id)
      if (attachment !== undefined) this.#leaving.set(id, attachment)
    }
  }

  #make(): RoutedNetwork {
    let alive = true
    this.#kill = () => (alive = false)
    const gone = new Promise<never>(() => undefined)
    const whileAlive = async <T>(act: () => Promise<T>): Promise<T> => {
      if (!alive) return gone
      const result = await act()
      return alive ? result : gone
    }
    const run: Run = (...call) => whileAlive(() => this.#machine.run(...call))
    return new RoutedNetwork({
      stateDir: this.#stateDir,
      logger: silentLogger,
      clock: this.#clock,
      prepared: 3,
      run,
      calls: {
        make: (calls) => whileAlive(() => this.#machine.calls.make(calls)),
        makeEach: (calls) => whileAlive(() => this.#machine.calls.makeEach(calls)),
      },
      mountPoints: () => Promise.resolve(pinsIn(this.#stateDir)),
    })
  }
}

/** Every directory has its mount: the fake makes namespaces without one. */
function pinsIn(stateDir: string): string[] {
  const root = join(stateDir, 'netns')
  return existsSync(root)
    ? readdirSync(root)
        .map((name) => join(root, name, 'net'))
        .filter((pin) => existsSync(pin))
    : []
}
