/** Nodes with sessions, for which all pods fit, and which run none. */
import { until } from '../../eventually.ts'
import { SessionNode } from '../../integration/session-node.ts'
import type { BenchController } from './controller.ts'

/** Of each node. */
const CAPACITY = { cpu: '1000000', memory: '1000Ti', pods: '1000000' }

export class BenchNodes {
  readonly #nodes: readonly SessionNode[]

  private constructor(nodes: readonly SessionNode[]) {
    this.#nodes = nodes
  }

  /** Their sessions are begun. */
  static async join(controller: BenchController, count: number): Promise<BenchNodes> {
    const names = Array.from({ length: count }, (_, index) => `n${index + 1}`)
    const nodes = new BenchNodes(
      await Promise.all(
        names.map(
          async (name) => new SessionNode(name, [controller.address], await controller.nodeCredentials(name), CAPACITY),
        ),
      ),
    )
    try {
      await nodes.#welcomed(names.map(() => 0))
      return nodes
    } catch (thrown) {
      await nodes.stop()
      throw thrown
    }
  }

  /** Pods that they have been given in all. */
  get podCount(): number {
    return this.#nodes.reduce((sum, { pods }) => sum + pods.size, 0)
  }

  /** The node that was given the pod. */
  find(podUid: string): SessionNode | undefined {
    return this.#nodes.find(({ pods }) => pods.has(podUid))
  }

  /** Ends and starts the controller; all are back. */
  async restart(controller: BenchController): Promise<void> {
    const before = this.#nodes.map(({ welcomes }) => welcomes)
    await controller.restart()
    await this.#welcomed(before)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()))
  }

  /** Each has been welcomed once more than before. */
  async #welcomed(before: readonly number[]): Promise<void> {
    const back = (): boolean => this.#nodes.every(({ welcomes }, index) => welcomes > before[index]!)
    await until('the nodes have their sessions', back, 60_000)
  }
}
