/**
 * A machine with what outlives its agent: containers, images, network attachments, volumes, and the disk with the
 * agent's records. A power loss takes all but the disk, and of the disk what was written last.
 */
import { FakeMachine } from '../../../agent/runtime/fake.ts'
import type { Attachment } from '../../../agent/network/contract.ts'
import type { Random } from '../../../proto/base/random.ts'
import { SimulatedDisk } from './disk.ts'
import { Host } from './process.ts'
import type { World } from './world.ts'

export class Machine {
  readonly host: Host
  readonly world: World
  readonly random: Random
  readonly disk: SimulatedDisk
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
  /** The registry does not answer. */
  registryAway = false

  constructor(name: string, address: string, world: World) {
    this.host = new Host(name, address, world)
    this.world = world
    this.random = world.random(`machine ${name}`)
    this.disk = new SimulatedDisk(world.random(`disk ${name}`))
    this.containers = new FakeMachine(world.clock)
  }

  powerOff(): void {
    this.host.powerOff()
    for (const container of this.containers.containers.values()) container.timer?.cancel()
    this.containers = new FakeMachine(this.world.clock)
    this.attached = new Map()
    this.projected = new Map()
    this.disk.powerLost()
  }
}
