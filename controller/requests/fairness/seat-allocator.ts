/**
 * How many requests of each user are under way, by whichever face they came. Those beyond it wait, in their order;
 * those beyond what may wait are refused, as Kubernetes' priority and fairness does. Requests that go on for as long as
 * their client wants (watches, logs, commands, sessions) are counted by themselves and never wait.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
 */
import { CONTROLLERS, MASTERS, NODES } from '../../authorization/groups.ts'
import { ANONYMOUS } from '../../accounts/token-authenticator.ts'
import type { User } from '../../api/contract.ts'
import type { Exchange } from '../request-info.ts'
import { TooManyRequests } from './too-many-requests.ts'

/** Of one user. */
export interface PriorityLevel {
  readonly inFlight: number
  readonly queueLength: number
  readonly longRunning: number
}

export interface PriorityLevels {
  readonly ordinary: PriorityLevel
  /** Of nodes and controllers, whose work is the cluster's. */
  readonly system: PriorityLevel
}

const DEFAULT_PRIORITY_LEVELS: PriorityLevels = {
  ordinary: { inFlight: 50, queueLength: 200, longRunning: 1_000 },
  system: { inFlight: 500, queueLength: 2_000, longRunning: 10_000 },
}

interface Held {
  underWay: number
  long: number
  readonly waiting: (() => void)[]
}

export class SeatAllocator {
  readonly #levels: PriorityLevels
  readonly #held = new Map<string, Held>()

  constructor(levels: PriorityLevels = DEFAULT_PRIORITY_LEVELS) {
    this.#levels = levels
  }

  /** Whom a request counts for: strangers by the address that they call from. */
  static keyOf({ name }: User, exchange: Pick<Exchange, 'peer'>): string {
    if (name !== '' && name !== ANONYMOUS.name) return `user ${name}`
    const { peer } = exchange
    return `stranger ${peer.slice(0, peer.lastIndexOf(':'))}`
  }

  /**
   * Resolves, or is there at once, with what gives the seat back; undefined for an administrator, who needs none.
   * TooManyRequests if too many are taken. Who gives up (the signal) waits no longer: it rejects with the reason.
   */
  take(
    key: string,
    user: User,
    isLong: boolean,
    exchange: Pick<Exchange, 'signal'>,
  ): (() => void) | Promise<() => void> | undefined {
    const level = this.#levelOf(user)
    if (level === undefined) return undefined
    let held = this.#held.get(key)
    if (held === undefined) this.#held.set(key, (held = { underWay: 0, long: 0, waiting: [] }))
    const { waiting } = held
    if (isLong) {
      if (held.long >= level.longRunning)
        throw new TooManyRequests(`${level.longRunning} watches, logs and commands of ${key} are open already`)
      held.long++
      return this.#release(key, held, 'long')
    }
    if (held.underWay < level.inFlight) {
      held.underWay++
      return this.#release(key, held, 'underWay')
    }
    if (waiting.length >= level.queueLength)
      throw new TooManyRequests(`${level.inFlight} requests of ${key} are under way and ${level.queueLength} wait`)
    return this.#wait(key, held, exchange.signal)
  }

  #wait(key: string, held: Held, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const seated = (): void => {
        signal.removeEventListener('abort', gone)
        resolve(this.#release(key, held, 'underWay'))
      }
      const gone = (): void => {
        held.waiting.splice(held.waiting.indexOf(seated), 1)
        reject(signal.reason as Error)
      }
      if (signal.aborted) return reject(signal.reason as Error)
      held.waiting.push(seated)
      signal.addEventListener('abort', gone, { once: true })
    })
  }

  /** A seat that is given back goes to who waits first. */
  #release(key: string, held: Held, of: 'underWay' | 'long'): () => void {
    return () => {
      const next = of === 'underWay' ? held.waiting.shift() : undefined
      if (next !== undefined) return next()
      held[of]--
      if (held.underWay === 0 && held.long === 0) this.#held.delete(key)
    }
  }

  #levelOf({ groups }: User): PriorityLevel | undefined {
    if (groups.includes(MASTERS)) return undefined
    return groups.includes(NODES) || groups.includes(CONTROLLERS) ? this.#levels.system : this.#levels.ordinary
  }
}
