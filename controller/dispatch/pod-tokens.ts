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
  /** By "namespace/name" of the pod; then by its uid, audience and seconds. */
  readonly #given = new Map<string, ReadonlyMap<string, Given>>()
  #due: number | undefined

  constructor(informer: Informer, node: string, issuer: TokenIssuer) {
    this.#informer = informer
    this.#node = node
    this.#issuer = issuer
  }

  /** A time, in milliseconds since 1970, before which `next` has nothing new where nothing has changed. */
  get due(): number | undefined {
    return this.#due
  }

  /**
   * What the node is to be given now. A pod whose account is gone gets nothing new, and waits if it has not begun.
   * `changed`: "namespace/name" of the pods that may have changed, when nothing else has; undefined: all is looked at.
   */
  next(changed?: Iterable<string>): Input<PodToken>[] {
    const tokens: Input<PodToken>[] = []
    if (changed === undefined || (this.#due !== undefined && this.#due <= this.#issuer.clock.now())) {
      const pods = this.#informer.lister('Pod').byIndex('node', this.#node)
      const present = new Set(pods.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`))
      this.#due = undefined
      for (const pod of new Set([...this.#given.keys(), ...present])) this.#lookAt(pod, tokens)
    } else for (const pod of changed) this.#lookAt(pod, tokens)
    return tokens
  }

  #lookAt(key: string, tokens: Input<PodToken>[]): void {
    const [podNamespace, name] = key.split('/') as [string, string]
    const pod = this.#informer.lister('Pod').get(podNamespace, name)
    const known = this.#given.get(key)
    if (pod === undefined || pod.spec.nodeName !== this.#node || isTerminal(pod)) return void this.#given.delete(key)
    const { tokens: wanted, serviceAccount } = podReferences(pod)
    if (wanted.length === 0) return void this.#given.delete(key)
    const { clock } = this.#issuer
    const { namespace, uid } = pod.metadata
    const account = this.#informer.lister('ServiceAccount').get(namespace, serviceAccount)
    const kept = new Map<string, Given>()
    for (const { audience, expirationSeconds } of wanted) {
      const one = `${uid}\n${audience}\n${expirationSeconds}`
      const given = known?.get(one)
      if (
        given !== undefined &&
        (account === undefined || (given.account === account.metadata.uid && given.due > clock.now()))
      )
        kept.set(one, given)
      else if (account !== undefined) {
        const { token, issued, expires } = this.#issue(pod, account.metadata, audience, expirationSeconds)
        kept.set(one, {
          account: account.metadata.uid,
          due: issued + Math.min((expires - issued) * TOKEN_REFRESH_FRACTION, DAY),
        })
        tokens.push({ podUid: uid, audience, expirationSeconds, token })
      }
    }
    this.#given.set(key, kept)
    for (const { due } of kept.values()) if (this.#due === undefined || due < this.#due) this.#due = due
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
