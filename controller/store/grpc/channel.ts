/**
 * Calls to a cluster of etcd: to the member that answered last, and to another while that one is away, hangs or has no
 * leader. A call waits, within its bound, for a connection to any of them.
 */
import { delay, elapsed, type Clock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import { parseMemberAddress, type TlsKeys } from './address.ts'
import type { MessageStream } from './message-stream.ts'
import { Subchannel } from './subchannel.ts'
import { MESSAGE_LIMIT } from './transport.ts'
import type { CallEnd } from './unary-call.ts'

export interface ChannelOptions {
  /**
   * host:port of each member; a scheme http(s) in front is not looked at, `tls` decides. A member on a socket:
   * unix:PATH.
   */
  readonly endpoints: readonly string[]
  readonly tls: TlsKeys | undefined
  /** Milliseconds within which a call succeeds or fails, waiting for a connection included. */
  readonly timeout: number
  readonly clock: Clock
  readonly random: Random
}

/** Milliseconds until a call that failed is tried again. */
const AGAIN_MS = 50
/** Milliseconds for which others are asked before a member that let a call fail. */
const PASSED_OVER_MS = 5_000
/** Milliseconds that one who is ready, but has let a call fail, waits for the connection to another. */
const OTHERS_FIRST_MS = 500
/** Where there are others, the share of its time that a read waits for one member. */
const SHARE_OF_MEMBER = 0.5

interface Member {
  readonly subchannel: Subchannel
  /** Others come first until then, by the monotonic clock. */
  passedOverUntil: number
}

export class GrpcChannel {
  readonly #timeout: number
  readonly #clock: Clock
  readonly #members: readonly Member[]
  #preferred = 0
  #closed = false

  constructor({ endpoints, tls, timeout, clock, random }: ChannelOptions) {
    if (endpoints.length === 0) throw new GantryError('InvalidArgument', 'etcd needs at least one endpoint')
    this.#timeout = timeout
    this.#clock = clock
    this.#members = endpoints.map((endpoint) => ({
      subchannel: new Subchannel({ address: parseMemberAddress(endpoint), tls, clock, random }),
      passedOverUntil: -Infinity,
    }))
  }

  /**
   * One call; the request is a frame (framing.ts). Unavailable when no member answers in time; a write may then have
   * happened all the same. Calls that only read say so and are tried again, within the time, when the connection breaks
   * under them, the member has no leader, or hangs while there are others. A call that a member refused before it began
   * with it is tried again whatever it does.
   */
  async call(path: string, request: Buffer, kind: 'read' | 'write'): Promise<Buffer> {
    if (request.length > MESSAGE_LIMIT)
      throw new GantryError('Unavailable', `etcd: a request of ${request.length} bytes is too large`)
    const deadline = this.#clock.monotonic() + this.#timeout
    for (;;) {
      const member = this.#chosen() ?? (await this.#connected(deadline))
      const left = Math.max(1, deadline - this.#clock.monotonic())
      const share = kind === 'read' && this.#members.length > 1 ? SHARE_OF_MEMBER * this.#timeout : Infinity
      const end = (await member.subchannel.ready?.unary(path, request, Math.min(left, share))) ?? lost()
      switch (end.is) {
        case 'answered':
          return end.message
        case 'failed':
          if (end.late || end.error.code === 'Unavailable') this.#passOver(member)
          if (kind === 'read' && end.error.code === 'Unavailable') break
          // Too many requests, or no space for what is written: nothing happened, and it passes. Whoever waits for a
          // store that is away waits for this, too.
          if (kind === 'write' && end.error.code === 'ResourceExhausted')
            throw new GantryError('Unavailable', end.error.message, { cause: end.error })
          throw end.error
        case 'refused':
          break
      }
      const rest = deadline - this.#clock.monotonic()
      if (this.#closed || rest <= AGAIN_MS) throw end.error
      // A member without leader answers at once: it is not asked as fast as it can say so.
      await delay(this.#clock, AGAIN_MS)
    }
  }

  /** A stream of messages to a member, which breaks with the connection. Unavailable when none is connected in time. */
  async stream(path: string, metadata: Readonly<Record<string, string>>): Promise<MessageStream> {
    const member = this.#chosen() ?? (await this.#connected(this.#clock.monotonic() + this.#timeout))
    const transport = member.subchannel.ready
    if (transport === undefined) throw lost().error
    return transport.stream(path, metadata)
  }

  /** Calls that are open still get their answers; none begins any more. */
  close(): void {
    this.#closed = true
    for (const { subchannel } of this.#members) subchannel.close()
  }

  /** A member on whose connection the call may begin now. */
  #chosen(): Member | undefined {
    const { length } = this.#members
    for (let offset = 0; offset < length; offset++) {
      const index = (this.#preferred + offset) % length
      const member = this.#members[index]!
      const transport = member.subchannel.ready
      if (transport === undefined || (length > 1 && (transport.silent || this.#isPassedOver(member)))) continue
      this.#preferred = index
      return member
    }
    return undefined
  }

  /** As `#chosen`, when it takes a connection first; else one that is ready, though it has let a call fail. */
  async #connected(deadline: number): Promise<Member> {
    const others = this.#members.filter(
      (member) => member.subchannel.ready === undefined && !this.#isPassedOver(member),
    )
    let among: readonly Member[] = others.length > 0 ? others : this.#members
    let cause: unknown
    for (;;) {
      if (this.#closed) throw new GantryError('Unavailable', 'the connection to etcd is closed', { cause })
      const left = deadline - this.#clock.monotonic()
      if (left <= 0) throw new GantryError('Unavailable', 'no etcd endpoint can be reached', { cause })
      const ready = this.#longestLeftAlone()
      if (ready !== undefined && among !== others) return this.#prefer(ready)
      const first = await this.#firstConnected(among, ready === undefined ? left : Math.min(left, OTHERS_FIRST_MS))
      if ('member' in first) return this.#prefer(first.member)
      cause = first.cause ?? cause
      among = this.#members
    }
  }

  #longestLeftAlone(): Member | undefined {
    return this.#members
      .filter(({ subchannel }) => subchannel.ready !== undefined)
      .sort((one, other) => one.passedOverUntil - other.passedOverUntil)[0]
  }

  #prefer(member: Member): Member {
    this.#preferred = this.#members.indexOf(member)
    return member
  }

  /** The first of them that is connected, unless none is in time or all fail. */
  async #firstConnected(members: readonly Member[], millis: number): Promise<{ member: Member } | { cause: unknown }> {
    const over = new AbortController()
    const connected = members.map(async (member) => {
      await member.subchannel.connect()
      return { member }
    })
    try {
      return await Promise.race([
        Promise.any(connected).catch((cause: unknown) => ({ cause })),
        elapsed(this.#clock, millis, over.signal).then(() => ({ cause: undefined })),
      ])
    } finally {
      over.abort()
    }
  }

  #isPassedOver({ passedOverUntil }: Member): boolean {
    return passedOverUntil > this.#clock.monotonic()
  }

  #passOver(member: Member): void {
    if (this.#members.length > 1) member.passedOverUntil = this.#clock.monotonic() + PASSED_OVER_MS
  }
}

/** Between the choice of a member and the call to it. */
function lost(): Extract<CallEnd, { is: 'refused' }> {
  return { is: 'refused', error: new GantryError('Unavailable', 'etcd: the connection broke before the call') }
}
