/** What goes wrong in the simulated world, made so and mended again. */
import type { Fault } from './actions.ts'
import type { SimulatedController } from './control-plane.ts'
import type { SimulatedNode } from './node.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import { at } from './work.ts'
import type { Host } from './world/process.ts'

/** Milliseconds until a process that ended is started again, at least. */
const RESTART = 150

export class Faults {
  readonly #cluster: SimulatedCluster
  /** What mends each fault that lasts. */
  readonly #mending = new Set<() => void>()

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster
  }

  make(fault: Fault): void {
    const { network, etcd, controllers, disorder } = this.#cluster
    switch (fault.do) {
      case 'exit':
        return this.#exit(fault.share, fault.code)
      case 'killAgent':
        return this.#restarted(this.#node(fault.share), fault.millis)
      case 'powerOff':
        return this.#powerOff(this.#node(fault.share), fault.millis)
      case 'isolateNode':
        return this.#isolate(this.#node(fault.share).machine.host, fault.millis)
      case 'killController':
        return this.#restarted(at(controllers, fault.share)!, fault.millis)
      case 'powerOffController':
        return this.#powerOffController(at(controllers, fault.share)!, fault.millis)
      case 'isolateController':
        return this.#isolate(at(controllers, fault.share)!.host, fault.millis)
      case 'killLeader':
        return this.#restarted(this.#cluster.leader ?? controllers[0]!, fault.millis)
      case 'pauseLeader':
        return this.#cluster.leader?.running?.process.pause(fault.millis)
      case 'pauseAgent':
        return this.#node(fault.share).process?.pause(fault.millis)
      case 'cutFromStore':
        return this.#cut(between(at(controllers, fault.share)!.host, etcd.host), fault.millis)
      case 'halfCut': {
        const { host } = at(controllers, fault.share)!
        return this.#cut((from, to) => from === etcd.host && to === host, fault.millis)
      }
      case 'cutNodeFromController':
        return this.#cut(
          between(this.#node(fault.share).machine.host, at(controllers, fault.other)!.host),
          fault.millis,
        )
      case 'slowNetwork':
        network.slowness = fault.by
        return this.#for(fault.millis, () => (network.slowness = 0))
      case 'storeAway':
        etcd.available = false
        return this.#for(fault.millis, () => (etcd.available = true))
      case 'storeSlow':
        etcd.slowness = fault.by
        return this.#for(fault.millis, () => (etcd.slowness = 0))
      case 'storeLossy':
        etcd.lossShare = fault.lost
        return this.#for(fault.millis, () => (etcd.lossShare = 0))
      case 'compact':
        return etcd.compact(fault.share)
      case 'diskFull': {
        const { disk } = this.#node(fault.share).machine
        disk.full = true
        return this.#for(fault.millis, () => (disk.full = false))
      }
      case 'registryAway': {
        const { machine } = this.#node(fault.share)
        machine.registryAway = true
        return this.#for(fault.millis, () => (machine.registryAway = false))
      }
      case 'diskSlow': {
        const { disk } = this.#node(fault.share).machine
        disk.slowness = fault.by
        return this.#for(fault.millis, () => (disk.slowness = 0))
      }
      case 'machineSlow': {
        const { machine } = this.#node(fault.share)
        machine.slowness = fault.by
        return this.#for(fault.millis, () => (machine.slowness = 0))
      }
      case 'networkLag': {
        const { machine } = this.#node(fault.share)
        machine.networkLag = fault.by
        return this.#for(fault.millis, () => (machine.networkLag = 0))
      }
      case 'machineFails': {
        const { machine } = this.#node(fault.share)
        machine.failureShare = fault.failing
        return this.#for(fault.millis, () => (machine.failureShare = 0))
      }
      case 'disorder': {
        const { lost, doubled, swapped } = fault
        Object.assign(disorder, { lost, doubled, swapped })
        return this.#for(fault.millis, () => Object.assign(disorder, { lost: 0, doubled: 0, swapped: 0 }))
      }
      case 'setClock':
        this.#node(fault.share).machine.host.clockOffset += fault.by
        return
    }
  }

  /** Everything is mended now. */
  mendAll(): void {
    for (const mend of [...this.#mending]) mend()
  }

  #node(share: number): SimulatedNode {
    return at(this.#cluster.nodes, share)!
  }

  /** Calls after so long, or when everything is mended. */
  #for(millis: number, mend: () => void): void {
    const once = (): void => {
      if (this.#mending.delete(once)) mend()
    }
    this.#mending.add(once)
    this.#cluster.world.after(millis, 'mend', once)
  }

  #cut(separates: (from: Host, to: Host) => boolean, millis: number): void {
    this.#for(millis, this.#cluster.network.cut(separates))
  }

  #isolate(host: Host, millis: number): void {
    this.#for(millis, this.#cluster.network.isolate(host))
  }

  #restarted(process: SimulatedNode | SimulatedController, millis: number): void {
    process.kill()
    this.#for(Math.max(RESTART, millis), () => process.start())
  }

  #powerOff(node: SimulatedNode, millis: number): void {
    node.powerOff()
    this.#for(Math.max(RESTART, millis), () => {
      node.machine.host.powerOn()
      node.start()
    })
  }

  #powerOffController(controller: SimulatedController, millis: number): void {
    controller.host.powerOff()
    this.#for(Math.max(RESTART, millis), () => {
      controller.host.powerOn()
      controller.start()
    })
  }

  /** A program ends by itself. */
  #exit(share: number, code: number): void {
    const running = this.#cluster.nodes.flatMap(({ machine: { containers } }) =>
      [...containers.containers.values()]
        .filter(({ state }) => state.state === 'running')
        .map((container) => ({ containers, container })),
    )
    const chosen = at(running, share)
    chosen?.containers.end(chosen.container, code)
  }
}

function between(one: Host, other: Host): (from: Host, to: Host) => boolean {
  return (from, to) => (from === one && to === other) || (from === other && to === one)
}
