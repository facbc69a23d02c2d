/** What the two ends of a connection in memory say to each other, call by call, much as HTTP/2 does for gRPC. */
import type { CallContext } from '../contract.ts'
import { WINDOW } from '../methods.ts'

export type Frame =
  /** Of the client's end, first of all. */
  | { readonly is: 'connect'; readonly user: CallContext['user']; readonly peer: string }
  /** The server's answer to it. */
  | { readonly is: 'accepted' }
  /** Begins a call; `timeout` in milliseconds. */
  | { readonly is: 'call'; readonly call: number; readonly path: string; readonly timeout: number | undefined }
  | { readonly is: 'message'; readonly call: number; readonly bytes: Uint8Array }
  /** So many messages were taken: as many more may be sent. */
  | { readonly is: 'credit'; readonly call: number; readonly messages: number }
  /** The caller sends no more messages. */
  | { readonly is: 'sent'; readonly call: number }
  /** The caller gives the call up. */
  | { readonly is: 'cancel'; readonly call: number }
  /** The server's last word on a call, with an ErrorStatus if it failed. */
  | { readonly is: 'end'; readonly call: number; readonly error: Uint8Array | undefined }

/** What a sender may send before the other side takes it. */
export class Credit {
  #left = WINDOW
  #ended = false
  #wake: (() => void) | undefined

  /** Waits until a message may be sent; false if none may ever be. One caller at a time. */
  async take(): Promise<boolean> {
    while (this.#left === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#ended) return false
    this.#left--
    return true
  }

  give(messages: number): void {
    this.#left += messages
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }
}

/** Hands out received messages and gives credit for what is taken. */
export async function* taken<T>(
  messages: AsyncIterable<T>,
  give: (messages: number) => void,
): AsyncGenerator<T, void, undefined> {
  let count = 0
  for await (const message of messages) {
    if (++count === WINDOW / 2) {
      give(count)
      count = 0
    }
    yield message
  }
}
