/** Chance as it is handed to every component. */
import { randomBytes, randomUUID } from 'node:crypto'

export interface Random {
  /** 0 ≤ x < 1. */
  next(): number
  /** A version 4 UUID, of a source that has a quicker way to one than by sixteen numbers. */
  uuid?(): string
}

/** Bytes of one number. */
const WIDTH = 6
/**
 * Numbers asked of the system at once: one by one, a name or a uid would cost more than the rest of making an object.
 */
const BATCH = 512

class SystemRandom implements Random {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  next(): number {
    if (this.#at === this.#bytes.length) {
      this.#bytes = randomBytes(WIDTH * BATCH)
      this.#at = 0
    }
    this.#at += WIDTH
    return this.#bytes.readUIntBE(this.#at - WIDTH, WIDTH) / 2 ** (8 * WIDTH)
  }

  uuid(): string {
    return randomUUID()
  }
}

export const systemRandom: Random = new SystemRandom()

/** The same sequence for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    },
  }
}

const NAME_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789'

/** A name's random end, as after generateName: no vowels, so that no words appear. */
export function randomSuffix(random: Random, length = 5): string {
  let suffix = ''
  while (suffix.length < length) suffix += NAME_CHARACTERS[Math.floor(random.next() * NAME_CHARACTERS.length)]
  return suffix
}

/** A version 4 UUID (RFC 9562). */
export function randomUuid(random: Random): string {
  return random.uuid?.() ?? uuidOfNumbers(random)
}

function uuidOfNumbers(random: Random): string {
  const bytes = Buffer.from(Array.from({ length: 16 }, () => Math.floor(random.next() * 256)))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
