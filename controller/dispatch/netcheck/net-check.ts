/**
 * `gantry net check`: each node is asked for its part by a stream, by way of the controller that holds its session;
 * when all have said that they are ready, each is told what to try. Bounded in time; when the caller goes, the streams
 * end, and with them what the nodes made.
 */
import { isIP } from 'node:net'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import type { Input } from '../../../proto/codec/wire.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { isConditionTrue } from '../../../proto/objects/conditions.ts'
import type {
  ClusterNetwork,
  NetCheckInput,
  NetCheckOutput,
  NetCheckProbeResult,
  NetCheckReady,
  NetCheckRequest,
  NetCheckResult,
  Node,
  StreamDown,
} from '../../../proto/gen/types.ts'
import { isController } from '../../authorization/groups.ts'
import type { ConsistentReads } from '../../api/consistent-reads.ts'
import type { Peers } from '../../election/peers.ts'
import type { Informer } from '../../informer/contract.ts'
import type { Dispatcher } from '../dispatcher.ts'
import { begin, prependMessage, wrapped } from '../pod-streams.ts'
import { controllerOf } from '../../nodehealth/node-session.ts'
import { evaluateProbes } from './evaluation.ts'
import { planProbes, type CheckSubjects, type Participant, type PlannedProbe } from './probe-plan.ts'

/** Milliseconds for the whole, for nodes to get ready, and what is left for the answer's way. */
const TOTAL_TIMEOUT_MS = 9_500
const READY_TIMEOUT_MS = 4_000
const RESPONSE_MARGIN_MS = 300

export interface NetCheckParts {
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'current'>
  readonly dispatcher: Dispatcher
  readonly peers: Pick<Peers, 'client'>
  /** This controller's name. */
  readonly controller: string
  readonly cluster: Pick<ClusterNetwork, 'domain'>
  readonly clock: Clock
}

/** A node's part under way. */
interface Part {
  readonly node: string
  readonly inputs: Channel<Input<NetCheckInput>>
  readonly results: Map<number, NetCheckProbeResult>
  ready: NetCheckReady | undefined
  /** Why it has ended. */
  ended: GantryError | undefined
  readonly running: Promise<void>
}

export class NetCheck {
  readonly #parts: NetCheckParts

  constructor(parts: NetCheckParts) {
    this.#parts = parts
  }

  /** NotFound: a node named is not there. InvalidArgument. Broken networks are results, no errors. */
  async *run(request: NetCheckRequest, call: CallContext): AsyncGenerator<Input<NetCheckResult>, void, undefined> {
    const { clock, reads } = this.#parts
    await reads.current()
    const subjects = this.#subjects(request)
    const { present, absent } = this.#nodes(request.nodes)
    for (const { node, why } of absent) yield nodeResult(node, why)
    const ending = new AbortController()
    const signal = AbortSignal.any([call.signal, ending.signal])
    const news = new ConditionVariable()
    const late = clock.after(TOTAL_TIMEOUT_MS, () => news.end())
    call.signal.addEventListener('abort', () => news.end(), { once: true, signal: ending.signal })
    const parts = present.map((node) => this.#begin(node, { ...call, signal }, news))
    try {
      await news.until(
        () => parts.every(({ ready, ended }) => ready !== undefined || ended !== undefined),
        clock,
        READY_TIMEOUT_MS,
      )
      const participants: Participant[] = []
      for (const { node, ready, ended } of parts) {
        if (ready !== undefined && ended === undefined) participants.push({ node, ready })
        else
          yield nodeResult(
            node,
            ended === undefined ? `did not get ready within ${READY_TIMEOUT_MS / 1000} s` : ended.message,
          )
      }
      const planned = planProbes(participants, subjects)
      const byNode = new Map(parts.map((part) => [part.node, part]))
      for (const { node, probe } of planned) byNode.get(node)!.inputs.push({ input: { case: 'probe', value: probe } })
      const resultOf = ({ node, probe }: PlannedProbe): NetCheckProbeResult | undefined =>
        byNode.get(node)!.results.get(probe.id)
      await news.until(
        () => planned.every((one) => resultOf(one) !== undefined || byNode.get(one.node)!.ended !== undefined),
        clock,
        TOTAL_TIMEOUT_MS,
      )
      if (call.signal.aborted) return
      if (subjects.service === undefined)
        yield {
          check: 'service',
          target: 'default/kubernetes',
          skipped: true,
          ok: true,
          message: 'there is no Service default/kubernetes with an address',
        }
      const over = 'the check was over before it had an answer'
      yield* evaluateProbes(planned, new Map(planned.map((one) => [one, resultOf(one)])), participants, over)
      for (const { node, ended } of parts)
        if (ended !== undefined && participants.some((other) => other.node === node))
          yield nodeResult(node, ended.message)
    } finally {
      late.cancel()
      for (const { inputs } of parts) inputs.close()
      ending.abort(new GantryError('Cancelled', 'the check has ended'))
      await Promise.all(parts.map(({ running }) => running))
    }
  }

  /** One node's part: for other controllers, and for whoever asks himself. */
  async *node(
    inputs: AsyncIterable<NetCheckInput>,
    call: CallContext,
  ): AsyncGenerator<Input<NetCheckOutput>, void, undefined> {
    const { first, rest } = await begin(inputs)
    const start = first?.input
    if (start?.case !== 'start') throw new GantryError('InvalidArgument', 'a check of a node begins with its start')
    yield* this.#open(start.value.node, start.value.deadlineMillis, first!, rest, call)
  }

  #begin(node: string, call: CallContext, news: ConditionVariable): Part {
    const inputs = new Channel<Input<NetCheckInput>>()
    const start: Input<NetCheckInput> = {
      input: { case: 'start', value: { node, deadlineMillis: TOTAL_TIMEOUT_MS + RESPONSE_MARGIN_MS } },
    }
    const results = new Map<number, NetCheckProbeResult>()
    const run = async (): Promise<void> => {
      try {
        for await (const { output } of this.#open(
          node,
          TOTAL_TIMEOUT_MS + RESPONSE_MARGIN_MS,
          start as NetCheckInput,
          inputs[Symbol.asyncIterator]() as AsyncIterator<NetCheckInput>,
          call,
        )) {
          if (output?.case === 'ready') part.ready = output.value
          else if (output?.case === 'result') results.set(output.value.id, output.value)
          news.broadcast()
        }
        part.ended ??= new GantryError('Unavailable', 'its part of the check ended early')
      } catch (thrown) {
        part.ended = GantryError.from(thrown, 'Unavailable')
      }
      news.broadcast()
    }
    const part: Part = {
      node,
      inputs,
      results,
      ready: undefined,
      ended: undefined,
      running: Promise.resolve().then(run),
    }
    return part
  }

  async *#open(
    node: string,
    deadlineMillis: number,
    first: NetCheckInput,
    rest: AsyncIterator<NetCheckInput>,
    call: CallContext,
  ): AsyncGenerator<NetCheckOutput, void, undefined> {
    const { informer, controller, peers, dispatcher } = this.#parts
    const stored = informer.lister('Node').get('', node)
    if (stored === undefined) throw new GantryError('NotFound', `nodes "${node}" not found`)
    const holder = isController(call.user) ? controller : (controllerOf(stored) ?? controller)
    if (holder !== controller)
      return yield* (await peers.client(holder, 'Cluster')).netCheckNode(prependMessage(first, rest), {
        signal: call.signal,
      })
    const request = { podUid: '', request: { case: 'netCheck' as const, value: { node, deadlineMillis } } }
    const inputs = wrapped(rest, (value): Input<StreamDown> => ({ message: { case: 'netCheck', value } }))
    for await (const { message } of dispatcher.streams.open(
      node,
      request,
      inputs,
      (told) => dispatcher.tell(node, told),
      call,
    )) {
      if (message?.case === 'netCheck') yield message.value
    }
  }

  /**
   * Nodes that are to take part, and those that cannot. Of a choice all others take part too: what they send to the
   * chosen is tried.
   */
  #nodes(chosen: readonly string[]): { present: string[]; absent: { node: string; why: string }[] } {
    const nodes = [...this.#parts.informer.lister('Node').list()]
    for (const name of chosen)
      if (!nodes.some(({ metadata }) => metadata.name === name))
        throw new GantryError('NotFound', `nodes "${name}" not found`)
    const present: string[] = []
    const absent: { node: string; why: string }[] = []
    for (const node of nodes.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
      const { name } = node.metadata
      if (isReady(node)) present.push(name)
      else if (chosen.length === 0 || chosen.includes(name))
        absent.push({ node: name, why: `is not ready; see gantry describe node ${name}` })
    }
    return { present, absent }
  }

  #subjects({ nodes, outward, name }: NetCheckRequest): CheckSubjects {
    const service = this.#parts.informer.lister('Service').get('default', 'kubernetes')
    const addresses = (
      service?.spec.clusterIPs ?? (service?.spec.clusterIP === undefined ? [] : [service.spec.clusterIP])
    ).filter((address) => isIP(address) !== 0)
    const port = service?.spec.ports?.[0]?.port
    return {
      nodes,
      name,
      service:
        port === undefined || addresses.length === 0
          ? undefined
          : {
              name: 'default/kubernetes',
              addresses,
              port,
              dnsName: `kubernetes.default.svc.${this.#parts.cluster.domain}`,
            },
      outward: outward === '' ? undefined : parseEndpoint(outward),
    }
  }
}

/** "10.0.0.1:443", "[fd00::1]:443". */
function parseEndpoint(text: string): { address: string; port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? []
  const address = bracketed ?? plain ?? ''
  const port = Number(digits)
  if (isIP(address) === 0 || port < 1 || port > 65_535)
    throw new GantryError('InvalidArgument', `"${text}" is no address and port`, {
      details: [{ field: 'outward', value: text, remedy: 'write it as 203.0.113.9:443 or [2001:db8::9]:443' }],
    })
  return { address, port }
}

function isReady({ status }: Node): boolean {
  return isConditionTrue(status.conditions, 'Ready')
}

function nodeResult(node: string, why: string): Input<NetCheckResult> {
  return { check: 'node', node, target: node, ok: false, message: `node ${node}: ${why}` }
}

/** Wakes who waits for something to come true. */
class ConditionVariable {
  readonly #waiting = new Set<() => void>()
  #ended = false

  broadcast(): void {
    for (const look of [...this.#waiting]) look()
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.#ended = true
    this.broadcast()
  }

  /** Resolves when it is true, or `millis` have passed, or the end has come. */
  until(isTrue: () => boolean, clock: Clock, millis: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(look)
        timer.cancel()
        resolve()
      }
      const look = (): void => {
        if (this.#ended || isTrue()) done()
      }
      const timer = clock.after(millis, done)
      this.#waiting.add(look)
      look()
    })
  }
}
