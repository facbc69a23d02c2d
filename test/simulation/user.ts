/** A user of the cluster: asks whichever controller runs, over the network, and keeps what he was answered. */
import type { ObjectApi } from '../../controller/api/contract.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Random } from '../../proto/base/random.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import { pick } from './world/world.ts'

/** Milliseconds after which an answer is waited for no more: whether it was done is not known then. */
const PATIENCE = 10_000

export type Answer<T> =
  | { readonly is: 'done'; readonly result: T }
  /** Refused: nothing was done. */
  | { readonly is: 'refused'; readonly error: GantryError }
  /** It may have been done, or not. */
  | { readonly is: 'unknown' }

export class User {
  readonly #cluster: SimulatedCluster
  readonly #random: Random
  /** Requests that are not answered yet. */
  #waiting = 0

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster
    this.#random = cluster.world.random('user')
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Asks one controller once. */
  ask<T>(label: string, request: (api: ObjectApi) => Promise<T>): Promise<Answer<T>> {
    const { world, network, controllers, outside } = this.#cluster
    const running = controllers.filter((controller) => controller.running !== undefined)
    if (running.length === 0) return Promise.resolve({ is: 'refused', error: new GantryError('Unavailable', 'nobody') })
    const { host, running: at } = pick(this.#random, running)
    const {
      process,
      controller: { api },
    } = at!
    this.#waiting++
    return new Promise<Answer<T>>((resolve) => {
      const settle = (answer: Answer<T>): void => {
        late.cancel()
        resolve(answer)
      }
      const late = world.after(PATIENCE, `no answer ${label}`, () => resolve({ is: 'unknown' }))
      const answer = (told: Answer<T>): void =>
        network.send(host, outside, `answer ${label}`, () => {
          world.trace.note(world.time, `answered ${label}: ${told.is}`)
          settle(told)
        })
      network.send(outside, host, `ask ${label}`, () =>
        process.enter(() => {
          request(api).then(
            (result) => answer({ is: 'done', result }),
            (thrown: unknown) => answer(failed(thrown)),
          )
        }),
      )
    }).finally(() => this.#waiting--)
  }

  /** Asks for a write, and tells everybody that it was acknowledged. */
  async write<T extends AnyResource>(
    verb: 'create' | 'write' | 'delete',
    label: string,
    request: (api: ObjectApi) => Promise<T>,
  ): Promise<Answer<T>> {
    const answer = await this.ask(label, request)
    if (answer.is === 'done') this.#cluster.facts.note({ is: 'acknowledged', verb, object: answer.result })
    return answer
  }
}

/** Whether something was done that failed: these errors leave it open. */
function failed(thrown: unknown): Answer<never> {
  const error = GantryError.from(thrown)
  return GantryError.is(error, 'Unavailable', 'DeadlineExceeded', 'Internal')
    ? { is: 'unknown' }
    : { is: 'refused', error }
}
