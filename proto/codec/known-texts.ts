/**
 * Short texts that were read lately, each at the place that its bytes lead to. Objects of a cluster say the same names,
 * keys and images over and over: a text that is known takes no memory again, and needs no call out of JavaScript.
 */

/** A power of two. */
const PLACES = 4096

const texts: string[] = Array.from({ length: PLACES }, () => '')

/** The text that these bytes are in UTF-8. */
export function knownText(bytes: Buffer, start: number, end: number): string {
  let hash = end - start
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte > 127) return bytes.toString('utf8', start, end)
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  const place = placeOf(hash)
  const text = texts[place]!
  return isAt(text, bytes, start, end) ? text : (texts[place] = bytes.toString('latin1', start, end))
}

/** Where a text is kept, by a hash of its bytes. */
function placeOf(hash: number): number {
  return (hash ^ (hash >>> 12)) & (PLACES - 1)
}

/** True if bytes of ASCII are this text. */
function isAt(text: string, bytes: Buffer, start: number, end: number): boolean {
  const { length } = text
  if (length !== end - start) return false
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) !== bytes[start + index]) return false
  return true
}

/** As in JSON, where a quotation mark and a backslash have a backslash before them; the text that each stands for. */
const written: string[] = Array.from({ length: PLACES }, () => '')
const meant: string[] = Array.from({ length: PLACES }, () => '')

/** Bytes of a text in JSON up to which it is remembered: a place keeps its text until another takes it. */
const LONGEST_WRITTEN = 512

/** The text that these bytes of ASCII are in JSON, between quotation marks; `hash` is one of them, see knownText. */
export function knownJsonText(bytes: Buffer, start: number, end: number, hash: number): string {
  if (end - start > LONGEST_WRITTEN) return textOfJson(bytes.toString('latin1', start, end))
  const place = placeOf(hash)
  const text = written[place]!
  if (text !== '' && isAt(text, bytes, start, end)) return meant[place]!
  const raw = bytes.toString('latin1', start, end)
  written[place] = raw
  return (meant[place] = textOfJson(raw))
}

function textOfJson(raw: string): string {
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
}
