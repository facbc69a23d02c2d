/** A whole cluster in a simulated world: its store, controllers and nodes, and the network between them. */
import { MemoryEventLog } from '../../controller/events/memory-news.ts'
import { livenessWith } from '../../agent/session/session.ts'
import { decodeResource } from '../../proto/codec/wire.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { Connection } from '../../proto/rpc/contract.ts'
import { behaviourOf } from './behaviour.ts'
import { controllerAddress, SimulatedController } from './control-plane.ts'
import { Facts, type Fact } from './facts.ts'
import { SimulatedNode } from './node.ts'
import { disorderly, type Disorder } from './world/disorder.ts'
import type { Complaint } from './world/logger.ts'
import { Machine } from './world/machine.ts'
import { Network } from './world/network.ts'
import { Host, type Process } from './world/process.ts'
import { SimulatedEtcd } from './world/store.ts'
import { Transport } from './world/transport.ts'
import type { World } from './world/world.ts'

export interface ClusterShape {
  readonly controllers: number
  readonly nodes: number
}

export class SimulatedCluster {
  readonly world: World
  readonly network: Network
  readonly etcd: SimulatedEtcd
  readonly facts: Facts
  /** What controllers and agents tell people of. */
  readonly events: MemoryEventLog
  readonly controllers: readonly SimulatedController[]
  readonly nodes: readonly SimulatedNode[]
  /** Where users are. */
  readonly outside: Host
  readonly disorder: Disorder = { lost: 0, doubled: 0, swapped: 0 }
  /** What no fault explains. */
  readonly complaints: Complaint[] = []

  constructor(world: World, shape: ClusterShape) {
    this.world = world
    this.network = new Network(world)
    this.etcd = new SimulatedEtcd(world, this.network)
    this.facts = new Facts(world, this.etcd)
    this.events = new MemoryEventLog(world.clock)
    this.outside = new Host('outside', '192.0.2.2', world)
    const transport = new Transport(world, this.network)
    const complain = (complaint: Complaint): void => void this.complaints.push(complaint)
    const seeds = world.random('seeds')
    const seed = (): number => Math.floor(seeds.next() * 2 ** 31)
    const members = numbered('c', shape.controllers).map((name, index) => ({ name, address: `10.0.0.${index + 1}` }))
    this.controllers = members.map(
      ({ name, address }) =>
        new SimulatedController({
          name,
          host: new Host(name, address, world),
          members,
          etcd: this.etcd,
          events: this.events,
          transport,
          seed: seed(),
          complain,
        }),
    )
    const addresses = this.controllers.map(({ host }) => controllerAddress(host))
    const behaviours = world.random('behaviours')
    this.nodes = numbered('n', shape.nodes).map((name, index) => {
      const note = (fact: Fact): void => this.facts.note(fact)
      const machine = new Machine(name, `10.0.1.${index + 1}`, world, note)
      return new SimulatedNode({
        machine,
        controllers: addresses,
        connect: (process, address) => this.#connect(transport, process, address, name),
        behaviour: (spec) => behaviourOf(spec, behaviours),
        seed: seed(),
        complain,
      })
    })
  }

  /** Every process that should run begins. */
  start(): void {
    for (const controller of this.controllers) controller.start()
    for (const node of this.nodes) node.start()
  }

  get leader(): SimulatedController | undefined {
    const name = this.controllers.find(({ running }) => running !== undefined)?.running?.controller.election.leader()
    return this.controllers.find((controller) => controller.name === name)
  }

  #connect(transport: Transport, process: Process, address: string, node: string): Connection {
    const connection = transport.connect(
      process,
      address,
      { name: `system:node:${node}`, groups: ['system:nodes'] },
      livenessWith(this.controllers.length),
    )
    return disorderly(connection, {
      disorder: this.disorder,
      clock: process.clock,
      random: this.world.random(`disorder ${node}`),
      received: ({ message }) => {
        if (message?.case === 'withdrawn') this.facts.note({ is: 'drained', node, podUids: message.value.podUids })
        if (message?.case !== 'assignments') return
        for (const { kind, raw } of message.value.set)
          this.facts.note({ is: 'given', node, object: decodeResource(kind as Kind, raw) })
      },
    })
  }
}

function numbered(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`)
}
