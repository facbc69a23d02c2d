/** The node's pod network, which can only begin once the node's address range is known: who attaches before waits. */
import { GantryError } from '../../proto/api/errors.ts'
import type { Attachment, Network } from '../network/contract.ts'

export class NodeNetwork {
  readonly #network: Network
  #started: Promise<void> | undefined
  #podCidr: string | undefined
  readonly #waiting = new Set<() => void>()

  constructor(network: Network) {
    this.#network = network
  }

  /** Begins with a range, or goes over to another; the same one again does nothing. A start that failed is tried anew by the next call. */
  async start(podCidr: string, known: ReadonlyMap<string, Attachment>): Promise<void> {
    if (this.#podCidr === podCidr) return this.#started
    this.#podCidr = podCidr
    this.#started = this.#network.start(podCidr, known)
    try {
      await this.#started
    } catch (thrown) {
      this.#podCidr = this.#started = undefined
      throw thrown
    }
    for (const go of this.#waiting) go()
  }

  /** Errors: those of Network.attach; Cancelled. */
  async attach(id: string, signal: AbortSignal): Promise<Attachment> {
    if (this.#started === undefined) await this.#wait(signal)
    await this.#started
    return this.#network.attach(id)
  }

  async detach(id: string): Promise<void> {
    if (this.#started === undefined) return
    await this.#started
    await this.#network.detach(id)
  }

  async stop(): Promise<void> {
    if (this.#started !== undefined) await this.#network.stop()
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(go)
        signal.removeEventListener('abort', abort)
      }
      const go = (): void => {
        end()
        resolve()
      }
      const abort = (): void => {
        end()
        reject(GantryError.from(signal.reason, 'Cancelled'))
      }
      if (signal.aborted) return reject(GantryError.from(signal.reason, 'Cancelled'))
      this.#waiting.add(go)
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
