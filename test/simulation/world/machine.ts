/**
 * A machine with what outlives its agent: containers, images, network attachments, volumes, and the disk with the
 * agent's records. A power loss takes all but the disk, and of the disk what was written last.
 */
import { FakeMachine, type FakeContainer } from '../../../agent/runtime/fake.ts'
import type { Attachment } from '../../../agent/network/contract.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Fact, Instance } from '../facts.ts'
import { SimulatedDisk } from './disk.ts'
import { Host } from './process.ts'
import type { World } from './world.ts'

export class Machine {
  readonly host: Host
  readonly world: World
  readonly random: Random
  readonly disk: SimulatedDisk
  readonly #note: (fact: Fact) => void
  containers: FakeMachine
  /** Attachments of pods, by uid. */
  attached = new Map<string, Attachment>()
  /** Files of projected volumes by pod and volume: they are in memory. */
  projected = new Map<string, string>()
  readonly emptyDirs = new Set<string>()
  readonly images = new Set<string>()
  readonly rootfs = new Set<string>()
  /** Logs of pods, by uid. */
  readonly logs = new Set<string>()
  /** What its operations take longer at most, in milliseconds. */
  slowness = 0
  /** Of operations, those that fail. */
  failureShare = 0
  /** Milliseconds for which its network is behind what the agent was told of the cluster's; Infinity: for ever. */
  networkLag = 0
  /** The registry does not answer. */
  registryAway = false

  constructor(name: string, address: string, world: World, note: (fact: Fact) => void) {
    this.#note = note
    this.host = new Host(name, address, world)
    this.world = world
    this.random = world.random(`machine ${name}`)
    this.disk = new SimulatedDisk(world.random(`disk ${name}`))
    this.containers = new ObservedMachine(name, world, note)
  }

  /** Its network sends connections to these pods (by uid) and to no others. */
  sendTo(podUids: ReadonlySet<string>): void {
    this.#note({ is: 'sends', node: this.host.name, podUids })
  }

  powerOff(): void {
    this.host.powerOff()
    for (const container of this.containers.containers.values()) container.timer?.cancel()
    this.containers = new ObservedMachine(this.host.name, this.world, this.#note)
    this.attached = new Map()
    this.projected = new Map()
    this.#note({ is: 'powerLost', node: this.host.name, fellBack: this.disk.powerLost() })
  }
}

/** Tells of every process that begins and ends. */
class ObservedMachine extends FakeMachine {
  readonly #name: string
  readonly #note: (fact: Fact) => void

  constructor(name: string, world: World, note: (fact: Fact) => void) {
    super(world.clock)
    this.#name = name
    this.#note = note
  }

  override begin(container: FakeContainer): void {
    super.begin(container)
    this.#note({ is: 'begun', node: this.#name, instance: instanceOf(container) })
  }

  override end(container: FakeContainer, exitCode: number, oomKilled = false): void {
    if (container.state.state === 'running')
      this.#note({ is: 'ended', node: this.#name, instance: instanceOf(container) })
    super.end(container, exitCode, oomKilled)
  }
}

/** Which instance it is stands in the path of its log. */
function instanceOf({ spec: { id, sandboxId, logPath } }: FakeContainer): Instance {
  const [attempt, container] = logPath.split('/').reverse()
  return { id, podUid: sandboxId, container: container!, attempt: Number.parseInt(attempt!, 10) }
}
