/**
 * What nodes and their containers use: asked of the node when somebody wants to know, by way of the controller that
 * holds its session.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { NodeUsage } from '../../proto/gen/types.ts'
import { isController } from '../authorization/groups.ts'
import type { Peers } from '../election/peers.ts'
import type { Informer } from '../informer/contract.ts'
import type { Dispatcher } from './dispatcher.ts'
import { controllerOf } from '../nodehealth/node-session.ts'

/** An answer is good for so many milliseconds. */
const USAGE_CACHE_TTL_MS = 3_000
/** A node that has not answered by then does not count. */
const USAGE_TIMEOUT_MS = 5_000

export interface UsageParts {
  readonly informer: Pick<Informer, 'lister'>
  readonly dispatcher: Dispatcher
  readonly peers: Pick<Peers, 'client'>
  /** This controller's name. */
  readonly controller: string
  readonly clock: Clock
}

export class UsageReader {
  readonly #parts: UsageParts
  readonly #known = new Map<string, { readonly asked: number; readonly answer: Promise<NodeUsage> }>()

  constructor(parts: UsageParts) {
    this.#parts = parts
  }

  /**
   * NotFound; Unavailable for a node that cannot be asked. What was answered some seconds ago is answered again; those
   * who ask together share one question.
   */
  of(node: string, user: CallContext['user']): Promise<NodeUsage> {
    const { clock } = this.#parts
    const now = clock.monotonic()
    const known = this.#known.get(node)
    if (known !== undefined && now - known.asked < USAGE_CACHE_TTL_MS) return known.answer
    for (const [name, { asked }] of this.#known) if (now - asked >= USAGE_CACHE_TTL_MS) this.#known.delete(name)
    const answer = this.#ask(node, user)
    this.#known.set(node, { asked: now, answer })
    answer.catch(() => {
      if (this.#known.get(node)?.answer === answer) this.#known.delete(node)
    })
    return answer
  }

  async #ask(node: string, user: CallContext['user']): Promise<NodeUsage> {
    const { informer, controller, peers, dispatcher, clock } = this.#parts
    const stored = informer.lister('Node').get('', node)
    if (stored === undefined) throw new GantryError('NotFound', `nodes "${node}" not found`)
    const late = new AbortController()
    const timer = clock.after(USAGE_TIMEOUT_MS, () =>
      late.abort(
        new GantryError('Unavailable', `node ${node} did not say within ${USAGE_TIMEOUT_MS / 1000} s what it uses`),
      ),
    )
    try {
      const holder = isController(user) ? controller : (controllerOf(stored) ?? controller)
      if (holder !== controller)
        return await (await peers.client(holder, 'Cluster')).nodeUsage({ node }, { signal: late.signal })
      const open = { podUid: '', request: { case: 'usage' as const, value: {} } }
      const call = { signal: late.signal, user, peer: '' }
      for await (const { message } of dispatcher.streams.open(
        node,
        open,
        nothing(),
        (told) => dispatcher.tell(node, told),
        call,
      ))
        if (message?.case === 'usage') return message.value
      throw new GantryError('Unavailable', `node ${node} did not say what it uses`)
    } finally {
      timer.cancel()
    }
  }
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}
