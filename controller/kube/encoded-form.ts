/** What was encoded is kept while it is among what was encoded last, however many objects there are. */

/** Bytes of all forms together. */
const MAX_BYTES = 32 * 1024 * 1024

/** What was made, apart from what it was made of: that may go before. */
interface Kept {
  bytes: Uint8Array | undefined
}

/** The oldest first, from `first` on. */
let kept: Kept[] = []
let first = 0
let total = 0

export class EncodedForm {
  readonly #encode: () => Uint8Array
  #kept: Kept | undefined

  constructor(encode: () => Uint8Array) {
    this.#encode = encode
  }

  bytes(): Uint8Array {
    const known = this.#kept?.bytes
    if (known !== undefined) return known
    const bytes = this.#encode()
    this.#kept = keep(bytes)
    return bytes
  }
}

function keep(bytes: Uint8Array): Kept {
  const one: Kept = { bytes }
  kept.push(one)
  total += bytes.length
  while (total > MAX_BYTES && first < kept.length - 1) {
    const oldest = kept[first++]!
    total -= oldest.bytes!.length
    oldest.bytes = undefined
  }
  if (first > 1_000 && first > kept.length / 2) {
    kept = kept.slice(first)
    first = 0
  }
  return one
}
