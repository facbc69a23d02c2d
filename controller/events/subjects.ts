/**
 * The subjects on NATS: `gantry.events.NAMESPACE.KIND.NAME` and `gantry.changes.PLURAL.NAMESPACE.NAME`, each part one
 * token.
 * https://docs.nats.io/nats-concepts/subjects
 */
import { createHash } from 'node:crypto'

/** The stream that keeps events, and the subjects it holds. */
export const EVENT_STREAM = 'GANTRY_EVENTS'
export const EVENT_SUBJECTS = 'gantry.events.>'

/** Nearly every name. */
const PLAIN = /^[A-Za-z0-9_-]+$/
/**
 * Characters of a token at most. A name of 253 dots takes 759, and NATS ends the connection of whoever sends a line of
 * more than 4,096 bytes (max_control_line), on which a subject has three such tokens. Clients may write events about
 * objects of any name.
 */
const MAX_TOKEN_LENGTH = 1_000

/**
 * Any text as one token: letters, digits, `_` and `-` stand for themselves, every other byte of its UTF-8 as `%XX`; `-`
 * alone is the empty text (cluster-scoped objects have no namespace) and `%2D` a text that is only a dash. A text whose
 * token would be too long stands there as `%H` and its hash. No two texts have the same token.
 */
export function subjectToken(text: string): string {
  if (text.length > MAX_TOKEN_LENGTH) return hashToken(text)
  if (text === '-') return '%2D'
  if (PLAIN.test(text)) return text
  if (text === '') return '-'
  const token = Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9_-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')
  return token.length > MAX_TOKEN_LENGTH ? hashToken(text) : token
}

function hashToken(text: string): string {
  return `%H${createHash('sha256').update(text).digest('base64url')}`
}

/** Where an event about an object is published. */
export function eventSubject(namespace: string, kind: string, name: string): string {
  return ['gantry.events', subjectToken(namespace), subjectToken(kind), subjectToken(name)].join('.')
}

/** The subjects of events that a query means; an absent part means any. */
export function eventFilter(query: { namespace?: string; kind?: string; name?: string }): string {
  const part = (text: string | undefined): string => (text === undefined || text === '' ? '*' : subjectToken(text))
  return ['gantry.events', part(query.namespace), part(query.kind), part(query.name)].join('.')
}

/** Where the change of an object is told. */
export function changeSubject(plural: string, namespace: string, name: string): string {
  return ['gantry.changes', subjectToken(plural), subjectToken(namespace), subjectToken(name)].join('.')
}
