/**
 * Whether a node lives, by the signs that it gives. Pure; times are milliseconds of one monotonic clock.
 *
 *            3 s without a sign           5 s without a sign
 *     ready ───────────────────▶ suspect ───────────────────▶ lost
 *       ▲ ▲──────── speaks ─────────┘  │                       │
 *       └────────── registers ─────────┴───────────────────────┘
 */

/** Milliseconds without a sign of life after which a node is suspect: nothing new is sent there. */
export const SUSPECT_TIMEOUT_MS = 3_000
/** Milliseconds without a sign of life after which a node is lost: its session is over and its work goes elsewhere. */
export const LOST_TIMEOUT_MS = 5_000

/** `lastSign`: when it was last heard from. */
export type Liveness =
  | { readonly is: 'ready'; readonly lastSign: number }
  | { readonly is: 'suspect'; readonly lastSign: number }
  /** Only a new registration brings it back: what its session said after this counts for nothing. */
  | { readonly is: 'lost'; readonly lastSign: number }

export type LivenessEvent =
  /** It began a session. */
  | { readonly kind: 'registered'; readonly at: number }
  /** It said something in its session, if only a heartbeat. */
  | { readonly kind: 'spoke'; readonly at: number }
  /** It is this late. */
  | { readonly kind: 'time'; readonly at: number }

/** The state after a sign. Signs that come late, with an earlier time than one before, change nothing. */
export function observe(liveness: Liveness, { kind, at }: LivenessEvent): Liveness {
  switch (kind) {
    case 'registered':
      return at < liveness.lastSign ? liveness : { is: 'ready', lastSign: at }
    case 'spoke':
      return liveness.is === 'lost' || at < liveness.lastSign ? liveness : { is: 'ready', lastSign: at }
    case 'time':
      return passed(liveness, at)
  }
}

function passed(liveness: Liveness, now: number): Liveness {
  const { is, lastSign } = liveness
  const silent = now - lastSign
  switch (is) {
    case 'ready':
      return silent >= LOST_TIMEOUT_MS
        ? { is: 'lost', lastSign }
        : silent >= SUSPECT_TIMEOUT_MS
          ? { is: 'suspect', lastSign }
          : liveness
    case 'suspect':
      return silent >= LOST_TIMEOUT_MS ? { is: 'lost', lastSign } : liveness
    case 'lost':
      return liveness
  }
}

/** When time alone changes the state next; undefined: never. */
export function changesAt({ is, lastSign }: Liveness): number | undefined {
  switch (is) {
    case 'ready':
      return lastSign + SUSPECT_TIMEOUT_MS
    case 'suspect':
      return lastSign + LOST_TIMEOUT_MS
    case 'lost':
      return undefined
  }
}
