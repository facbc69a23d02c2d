/**
 * What this controller is writing, by its bytes: so that the watch, which tells the same bytes, need not read them. It
 * does not matter whether the writer has had its answer by then, or ever has it: equal bytes are equal objects.
 */
import { atResourceVersion } from '../../proto/codec/canonical.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { Entry } from '../store/contract.ts'
import type { CachedObject, ExpectedWrite } from './contract.ts'

/** Bytes, and writes, that are kept for the watch at most; the oldest are then read as those of others are. */
const MAX_BYTES = 16 * 1024 * 1024
const MAX_WRITES = 10_000

export class ExpectedWrites {
  /** The newest of each key, in the order in which they began. */
  readonly #byKey = new Map<string, PendingWrite>()
  #bytes = 0

  expect(key: string, value: Uint8Array, object: AnyResource): ExpectedWrite {
    // Of a custom kind another definition, or none, may hold by the time that the watch tells it.
    if (object.kind.includes('.')) return new PendingWrite(value, object, () => undefined)
    const write = new PendingWrite(value, object, () => {
      if (this.#byKey.get(key) === write) this.#drop(key, write)
    })
    const before = this.#byKey.get(key)
    if (before !== undefined) this.#drop(key, before)
    this.#byKey.set(key, write)
    this.#bytes += value.length
    for (const [oldest, old] of this.#byKey) {
      if (this.#byKey.size <= MAX_WRITES && this.#bytes <= MAX_BYTES) break
      this.#drop(oldest, old)
    }
    return write
  }

  /** What an entry of the store is, if it was written here. */
  take({ key, value, revision }: Entry): CachedObject | undefined {
    const write = this.#byKey.get(key)
    if (write === undefined || !write.has(value)) return undefined
    this.#drop(key, write)
    return write.committed(revision)
  }

  /** Forgets what was written up to a revision that a list has shown: the watch will not tell it any more. */
  forget(revision: number): void {
    for (const [key, write] of this.#byKey) if (write.isAt(revision)) this.#drop(key, write)
  }

  #drop(key: string, write: PendingWrite): void {
    this.#byKey.delete(key)
    this.#bytes -= write.size
  }
}

class PendingWrite implements ExpectedWrite {
  readonly #value: Uint8Array
  readonly #object: AnyResource
  readonly abandoned: () => void
  #made: CachedObject | undefined

  constructor(value: Uint8Array, object: AnyResource, abandoned: () => void) {
    this.#value = value
    this.#object = object
    this.abandoned = abandoned
  }

  get size(): number {
    return this.#value.length
  }

  has(value: Uint8Array): boolean {
    return this.#value.length === value.length && Buffer.compare(this.#value, value) === 0
  }

  /** It is known to be in the store since a revision that is no later. */
  isAt(revision: number): boolean {
    return this.#made !== undefined && this.#made.revision <= revision
  }

  committed(revision: number): CachedObject {
    if (this.#made?.revision !== revision)
      this.#made = { object: atResourceVersion(this.#object, String(revision)), bytes: this.#value, revision }
    return this.#made
  }
}
