/** What streams do with the node's pods and network: each kind of request has a file of its own. */
import type {
  AttachStart,
  CopyInput,
  CopyOutput,
  CopyStart,
  ExecInput,
  ExecOutput,
  NetCheckInput,
  NetCheckOutput,
  NetCheckStart,
  NodeUsage,
  Page,
  PortForwardInput,
  PortForwardOutput,
  PortForwardStart,
} from '../../proto/gen/types.ts'
import type { RunGroup } from '../../proto/base/run-group.ts'
import type { NodePages } from '../metrics/node-pages.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import type { NodeStreams } from '../session/contract.ts'
import { attachTo } from './attach.ts'
import { copyInto, copyOut } from './copy/copy.ts'
import { forwardConnection } from './forward.ts'
import type { NetworkChecks } from './netcheck/network-checks.ts'
import type { PodDialer } from './pod-dialer.ts'
import type { FindTarget } from './target.ts'
import type { UsageMeter } from './usage-meter.ts'

export interface PodNodeStreamsParts {
  readonly find: FindTarget
  readonly dialer: PodDialer
  readonly runtime: RuntimeDriver
  readonly checks: NetworkChecks
  readonly usage: UsageMeter
  readonly pages: NodePages
  /** Holds what goes on beside a stream. */
  readonly group: RunGroup
}

export class PodNodeStreams implements NodeStreams {
  readonly #parts: PodNodeStreamsParts

  constructor(parts: PodNodeStreamsParts) {
    this.#parts = parts
  }

  attach(
    podUid: string,
    start: AttachStart,
    inputs: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncIterable<ExecOutput> {
    const { find, runtime, group } = this.#parts
    return attachTo({ target: find(podUid), runtime, group }, start, inputs, signal)
  }

  async *forward(
    podUid: string,
    start: PortForwardStart,
    inputs: AsyncIterable<PortForwardInput>,
    signal: AbortSignal,
  ): AsyncGenerator<PortForwardOutput, void, undefined> {
    const { find, dialer } = this.#parts
    yield* forwardConnection(await dialer.dial(find(podUid), start.port, signal), inputs, signal)
  }

  copy(
    podUid: string,
    start: CopyStart,
    inputs: AsyncIterable<CopyInput>,
    signal: AbortSignal,
  ): AsyncIterable<CopyOutput> {
    const target = this.#parts.find(podUid)
    return start.into ? copyInto(target, start, inputs, signal) : copyOut(target, start, signal)
  }

  checkNetwork(
    start: NetCheckStart,
    inputs: AsyncIterable<NetCheckInput>,
    signal: AbortSignal,
  ): AsyncIterable<NetCheckOutput> {
    return this.#parts.checks.run(start, inputs, signal)
  }

  usage(): Promise<NodeUsage> {
    return this.#parts.usage.measure()
  }

  page(path: string): Promise<Page> {
    return this.#parts.pages.page(path)
  }
}
