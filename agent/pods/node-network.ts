/** The node's pod network, which can only begin once the node's address range is known: who attaches before waits. */
import { GantryError } from '../../proto/base/errors.ts'
import { ConditionVariable } from '../../proto/base/condition-variable.ts'
import type { Attachment, AttachRequest, PodNetwork, NodeRanges, PodGuard, PodSegments } from '../network/contract.ts'

const DEFAULT_DOMAIN = 'cluster.local'

export class NodeNetwork {
  readonly #network: PodNetwork
  readonly #guard: PodGuard | undefined
  readonly #segments: PodSegments | undefined
  #started: Promise<void> | undefined
  /** As text, to see whether others are given. */
  #ranges: string | undefined
  #given: NodeRanges | undefined
  /** For it to begin. */
  readonly #waiting = new ConditionVariable()

  /** `segments`: where pods get their interfaces on Networks; without it a pod that asks for one is refused. */
  constructor(network: PodNetwork, guard?: PodGuard, segments?: PodSegments) {
    this.#network = network
    this.#guard = guard
    this.#segments = segments
  }

  /**
   * Begins with ranges, or goes over to others; the same ones again do nothing. A start that failed is tried anew by
   * the next call.
   */
  async start(ranges: NodeRanges, known: ReadonlyMap<string, Attachment>): Promise<void> {
    const text = JSON.stringify(ranges)
    if (this.#ranges === text) return this.#started
    this.#ranges = text
    this.#given = ranges
    this.#guard?.adopt(new Map([...known].map(([id, { addresses }]) => [id, addresses])))
    this.#segments?.adopt(
      new Map([...known].flatMap(([id, { further }]) => (further === undefined ? [] : [[id, further]]))),
    )
    this.#started = this.#network.start(ranges, known)
    try {
      await this.#started
    } catch (thrown) {
      this.#ranges = this.#started = undefined
      throw thrown
    }
    this.#waiting.broadcast()
  }

  /** Those that the node's network has begun with; waits for them. Cancelled. */
  async ranges(signal: AbortSignal): Promise<NodeRanges> {
    if (this.#started === undefined) await this.#waiting.wait(signal)
    await this.#started
    return this.#given!
  }

  /** The cluster's, as far as it is known. */
  get domain(): string {
    return this.#given?.cluster.domain ?? DEFAULT_DOMAIN
  }

  /** The pod is guarded when this resolves. Errors: those of Network.attach and PodGuard.protect; Cancelled. */
  async attach(id: string, signal: AbortSignal, request?: AttachRequest): Promise<Attachment> {
    if (this.#started === undefined) await this.#waiting.wait(signal)
    await this.#started
    const attachment = await this.#network.attach(id, request)
    await this.#guard?.protect(id, attachment.addresses, signal)
    return request?.networks === undefined ? attachment : this.#onNetworks(id, attachment, request.networks, signal)
  }

  /** The attachment with its interfaces on Networks. NotFound, ResourceExhausted, Cancelled: as Segments.attach. */
  async #onNetworks(
    id: string,
    attachment: Attachment,
    { namespace, cluster, further }: NonNullable<AttachRequest['networks']>,
    signal: AbortSignal,
  ): Promise<Attachment> {
    if (cluster && further.length === 0) return attachment
    if (this.#segments === undefined) throw new GantryError('Unsupported', 'this node has no Networks')
    const interfaces = await this.#segments.attach(id, attachment.netns, namespace, further, signal)
    if (!cluster) await this.#segments.leaveCluster(attachment.netns)
    return { ...attachment, further: interfaces, ...(cluster ? {} : { apart: true }) }
  }

  async detach(id: string): Promise<void> {
    if (this.#started === undefined) return
    await this.#started
    this.#guard?.forget(id)
    this.#segments?.detach(id)
    await this.#network.detach(id)
  }

  async stop(): Promise<void> {
    if (this.#started !== undefined) await this.#network.stop()
  }
}
