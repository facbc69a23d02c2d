/** The tokens that a node has been given for its pods, and when each is to be replaced. */
import type { Clock } from '../../proto/base/clock.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { Pod, PodToken } from '../../proto/gen/types.ts'
import type { AccountTokens } from '../accounts/tokens.ts'
import type { Informer } from '../informer/contract.ts'
import { podReferences } from '../../proto/objects/pod-references.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

/** A token is replaced when this much of its time has passed, and at the latest after a day: as Kubernetes does it. */
const TOKEN_REFRESH_FRACTION = 0.8
const DAY = 24 * 60 * 60 * 1000

export interface TokenIssuer {
  readonly tokens: Pick<AccountTokens, 'issue'>
  readonly clock: Clock
}

interface Given {
  /** Identity of the account: one that was deleted and made again needs another token. */
  readonly account: string
  readonly due: number
}

export class PodTokens {
  readonly #informer: Informer
  readonly #node: string
  readonly #issuer: TokenIssuer
  /** By pod, audience and seconds. */
  #given = new Map<string, Given>()

  constructor(informer: Informer, node: string, issuer: TokenIssuer) {
    this.#informer = informer
    this.#node = node
    this.#issuer = issuer
  }

  /** The earliest time, in milliseconds since 1970, at which `next` has something new though nothing changed. */
  get due(): number | undefined {
    let earliest: number | undefined
    for (const { due } of this.#given.values()) if (earliest === undefined || due < earliest) earliest = due
    return earliest
  }

  /** What the node is to be given now. A pod whose account is gone gets nothing new, and waits if it has not begun. */
  next(): Input<PodToken>[] {
    const { clock } = this.#issuer
    const now = clock.now()
    const kept = new Map<string, Given>()
    const tokens: Input<PodToken>[] = []
    for (const pod of this.#informer.lister('Pod').byIndex('node', this.#node)) {
      const { tokens: wanted, serviceAccount } = podReferences(pod)
      if (wanted.length === 0 || isTerminal(pod)) continue
      const { namespace, uid } = pod.metadata
      const account = this.#informer.lister('ServiceAccount').get(namespace, serviceAccount)
      for (const { audience, expirationSeconds } of wanted) {
        const key = `${uid}\n${audience}\n${expirationSeconds}`
        const given = this.#given.get(key)
        if (
          given !== undefined &&
          (account === undefined || (given.account === account.metadata.uid && given.due > now))
        )
          kept.set(key, given)
        else if (account !== undefined) {
          const { token, issued, expires } = this.#issue(pod, account.metadata, audience, expirationSeconds)
          kept.set(key, {
            account: account.metadata.uid,
            due: issued + Math.min((expires - issued) * TOKEN_REFRESH_FRACTION, DAY),
          })
          tokens.push({ podUid: uid, audience, expirationSeconds, token })
        }
      }
    }
    this.#given = kept
    return tokens
  }

  #issue(
    pod: Pod,
    account: { readonly name: string; readonly uid: string },
    audience: string,
    seconds: number,
  ): ReturnType<AccountTokens['issue']> {
    const { namespace } = pod.metadata
    const node = this.#informer.lister('Node').get('', this.#node)
    return this.#issuer.tokens.issue(
      { namespace, account, pod: pod.metadata, node: node?.metadata },
      audience === '' ? [] : [audience],
      seconds,
    )
  }
}
