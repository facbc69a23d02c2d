/** A node of a scripted cluster: what a test does to it, and what ran there. */
import type { Fact, Facts } from '../facts.ts'
import type { SimulatedNode } from '../node.ts'
import type { Machine } from '../world/machine.ts'
import type { Network } from '../world/network.ts'

export class ScriptedNode {
  readonly name: string
  readonly machine: Machine
  readonly #node: SimulatedNode
  readonly #facts: Facts
  readonly #network: Network
  /** Every start of a container on this machine, by the pod's name. */
  readonly started: string[] = []
  /** Every end of one, but for those that went with the machine's power. */
  readonly ended: string[] = []
  #mend: (() => void) | undefined

  constructor(node: SimulatedNode, { facts, network }: { readonly facts: Facts; readonly network: Network }) {
    this.name = node.name
    this.machine = node.machine
    this.#node = node
    this.#facts = facts
    this.#network = network
  }

  /** Names of the pods whose processes are alive, sorted. */
  get running(): string[] {
    return [...this.#facts.alive.values()]
      .filter(({ node }) => node === this.name)
      .map(({ instance }) => this.#podName(instance.podUid))
      .sort()
  }

  /** Uids of pods that this node sends connections to. */
  get sendsTo(): ReadonlySet<string> {
    return this.#facts.sending.get(this.name) ?? new Set()
  }

  /** The agent's process begins, unless there is one. */
  start(): void {
    this.#node.start()
  }

  /** The agent ends as by SIGKILL, and the kernel closes its connections; pods live on. */
  kill(): void {
    this.#node.kill()
  }

  /** The agent does not run for so long, as one that was stopped or swapped out; its connections stay. */
  pause(millis: number): void {
    this.#node.process?.pause(millis)
  }

  /** Nothing of it gets through any more, not even that a connection is closed. */
  cutOff(): void {
    this.#mend ??= this.#network.isolate(this.machine.host)
  }

  reconnect(): void {
    this.#mend?.()
    this.#mend = undefined
  }

  /** The machine loses power: nothing runs any more, and nobody is told. */
  powerOff(): void {
    this.#node.powerOff()
  }

  /** Its machine and agent begin again. */
  powerOn(): void {
    this.machine.host.powerOn()
    this.#node.start()
  }

  observe(fact: Fact): void {
    if (fact.is === 'begun' && fact.node === this.name) this.started.push(this.#podName(fact.instance.podUid))
    if (fact.is === 'ended' && fact.node === this.name) this.ended.push(this.#podName(fact.instance.podUid))
  }

  #podName(uid: string): string {
    return this.#facts.byUid(uid)!.metadata.name
  }
}
