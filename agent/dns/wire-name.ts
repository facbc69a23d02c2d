/**
 * Domain names as keys: their wire form (RFC 1035, 3.1) without the root's zero byte, in lower case, one character a
 * byte. Unlike text with dots it cannot mean two names, whatever bytes a label holds. '' is the root.
 */

/** Bytes of a name at most, its final zero among them; of a label. RFC 1035, 2.3.4. */
export const NAME_LIMIT = 255
export const LABEL_LIMIT = 63

/** Of a name that consists of letters, digits, "-" and "_" between dots; a final dot is let go. */
export function wireName(text: string): string {
  return text
    .toLowerCase()
    .split('.')
    .filter((label) => label !== '')
    .map((label) => String.fromCharCode(label.length) + label)
    .join('')
}

/** The first label's bytes and then its parent's name; undefined for the root. */
export function splitName(wire: string): { readonly label: string; readonly parent: string } | undefined {
  if (wire === '') return undefined
  const end = 1 + wire.charCodeAt(0)
  return { label: wire.slice(1, end), parent: wire.slice(end) }
}

export function labelsOf(wire: string): string[] {
  const labels: string[] = []
  for (let split = splitName(wire); split !== undefined; split = splitName(split.parent)) labels.push(split.label)
  return labels
}

/** For people: bytes that are none of theirs as \DDD (RFC 1035, 5.1). */
export function textName(wire: string): string {
  if (wire === '') return '.'
  return labelsOf(wire)
    .map((label) => label.replace(/[^\w-]/g, (byte) => `\\${String(byte.charCodeAt(0)).padStart(3, '0')}`))
    .join('.')
}

/**
 * Whether `origin` is the name itself or above it. Label by label: the bytes of one label may look like the end of
 * another name.
 */
export function isAtOrBelow(wire: string, origin: string): boolean {
  let at = 0
  while (wire.length - at > origin.length) at += 1 + wire.charCodeAt(at)
  return wire.length - at === origin.length && wire.endsWith(origin)
}

/** The name that an address is looked up by: RFC 1035, 3.5 and RFC 3596, 2.5. `bytes`: 4 or 16. */
export function reverseName(bytes: readonly number[]): string {
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`
  return `${bytes
    .flatMap((byte) => [byte >> 4, byte & 15])
    .reverse()
    .map((nibble) => nibble.toString(16))
    .join('.')}.ip6.arpa`
}
