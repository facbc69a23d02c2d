/**
 * Pages of nodes, such as their metrics: asked of the node through its session, by way of the controller that holds it.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Page } from '../../proto/gen/types.ts'
import { isController } from '../authorization/groups.ts'
import type { Peers } from '../election/peers.ts'
import type { Informer } from '../informer/contract.ts'
import type { Dispatcher } from './dispatcher.ts'
import { controllerOf } from '../nodehealth/node-session.ts'

/** A node that has not answered by then does not: whoever scrapes waits for ten seconds, usually. */
const PAGE_TIMEOUT_MS = 8_000

export interface NodePagesParts {
  readonly informer: Pick<Informer, 'lister'>
  readonly dispatcher: Pick<Dispatcher, 'streams' | 'tell'>
  readonly peers: Pick<Peers, 'client'>
  /** This controller's name. */
  readonly controller: string
  readonly clock: Clock
}

export class NodePageReader {
  readonly #parts: NodePagesParts

  constructor(parts: NodePagesParts) {
    this.#parts = parts
  }

  /** NotFound; Unavailable for a node that cannot be asked. */
  async read(node: string, path: string, { user, signal }: Pick<CallContext, 'user' | 'signal'>): Promise<Page> {
    const { informer, controller, peers, dispatcher, clock } = this.#parts
    const stored = informer.lister('Node').get('', node)
    if (stored === undefined) throw new GantryError('NotFound', `nodes "${node}" not found`)
    const late = new AbortController()
    const timer = clock.after(PAGE_TIMEOUT_MS, () =>
      late.abort(new GantryError('Unavailable', `node ${node} did not answer within ${PAGE_TIMEOUT_MS / 1000} s`)),
    )
    const ended = AbortSignal.any([signal, late.signal])
    try {
      const holder = isController(user) ? controller : (controllerOf(stored) ?? controller)
      if (holder !== controller)
        return await (await peers.client(holder, 'Cluster')).nodePage({ node, path }, { signal: ended })
      const open = { podUid: '', request: { case: 'page' as const, value: { path } } }
      const call = { signal: ended, user, peer: '' }
      for await (const { message } of dispatcher.streams.open(
        node,
        open,
        nothing(),
        (told) => dispatcher.tell(node, told),
        call,
      ))
        if (message?.case === 'page') return message.value
      throw new GantryError('Unavailable', `node ${node} did not answer`)
    } finally {
      timer.cancel()
    }
  }
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}
