/** What streams do with the node's pods and network: each kind of request has a file of its own. */
import type {
  AttachStart,
  CopyInput,
  CopyOutput,
  CopyStart,
  ExecInput,
  ExecOutput,
  ExecStart,
  LogsRequest,
  NetCheckInput,
  NetCheckOutput,
  NetCheckStart,
  NodeUsage,
  Page,
  PortForwardInput,
  PortForwardOutput,
  PortForwardStart,
} from '../../proto/gen/types.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { RunGroup } from '../../proto/base/run-group.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import type { NodeStreams } from '../session/contract.ts'
import { attachTo } from './attach.ts'
import { copyInto, copyOut } from './copy/copy.ts'
import { execIn } from './exec.ts'
import { forwardConnection } from './forward.ts'
import { containerLog } from './logs/container-log.ts'
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
  /** The node's own pages, such as /metrics. */
  readonly pages: { page(path: string): Promise<Page> }
  readonly clock: Clock
  /** Holds what goes on beside a stream. */
  readonly group: RunGroup
}

export class PodNodeStreams implements NodeStreams {
  readonly #parts: PodNodeStreamsParts

  constructor(parts: PodNodeStreamsParts) {
    this.#parts = parts
  }

  async *logs(podUid: string, request: LogsRequest, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const { find, clock } = this.#parts
    yield* containerLog(find(podUid), request, clock, signal)
  }

  async *exec(
    podUid: string,
    start: ExecStart,
    inputs: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncGenerator<ExecOutput, void, undefined> {
    const { find, runtime, group } = this.#parts
    yield* execIn({ target: find(podUid), runtime, group }, start, inputs, signal)
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
