/** Divides what nodes are told into messages that are not too large. */
import type { Input } from '../../../proto/codec/wire.ts'
import type { NetworkEntry } from '../../../proto/gen/types.ts'

/** Entries in one message at most: an EndpointSlice has up to some hundred kilobytes, a message 4 MiB. */
const PART_ENTRIES = 500
/** Bytes of objects in one message, about. */
const PART_BYTES = 1 << 20

/** Parts that fit into a message each; one empty part if there is nothing. */
export function splitIntoParts(set: readonly Input<NetworkEntry>[]): Input<NetworkEntry>[][] {
  const parts: Input<NetworkEntry>[][] = [[]]
  let bytes = 0
  for (const item of set) {
    const size = entrySize(item)
    if (parts.at(-1)!.length > 0 && (parts.at(-1)!.length >= PART_ENTRIES || bytes + size > PART_BYTES)) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(item)
    bytes += size
  }
  return parts
}

/** Bytes, about. */
function entrySize({ entry }: Input<NetworkEntry>): number {
  switch (entry?.case) {
    case 'object':
      return entry.value?.raw?.length ?? 0
    case 'addresses':
      return ((entry.value?.addresses?.length ?? 0) + (entry.value?.endpoints?.length ?? 0)) * 40
    case 'peer':
    case 'guarded':
    case 'rules':
    case undefined:
      return 200
  }
}
