/** Messages over TCP: two bytes of length before each (RFC 1035, 4.2.2). */

export function frame(message: Buffer): Buffer {
  const out = Buffer.allocUnsafe(2 + message.length)
  out.writeUInt16BE(message.length, 0)
  message.copy(out, 2)
  return out
}

/** Puts together what arrives in pieces. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  /** The messages that are whole now. */
  take(chunk: Buffer): Buffer[] {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const messages: Buffer[] = []
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0)
      messages.push(rest.subarray(2, end))
      rest = rest.subarray(end)
    }
    this.#rest = rest
    return messages
  }
}
