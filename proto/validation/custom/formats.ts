/**
 * The forms of strings that a schema's `format` can ask for; a format that is not here says nothing, as in Kubernetes.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
 */
import { isIP, isIPv4, isIPv6 } from 'node:net'

const LABEL = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/
const DATE = /^\d{4}-(\d{2})-(\d{2})$/
const TIME = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[-+]\d{2}:\d{2})$/
const DURATION = /^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$|^[-+]?0$/
const SCALA_DURATION =
  /^(\d+(\.\d+)?)\s*(ns|nano|nanos|nanosecond|nanoseconds|us|µs|micro|micros|microsecond|microseconds|ms|milli|millis|millisecond|milliseconds|s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hr|hour|hours|d|day|days|w|wk|week|weeks)$/

const form =
  (regexp: RegExp) =>
  (value: string): boolean =>
    regexp.test(value)

const FORMATS: Readonly<Record<string, (value: string) => boolean>> = {
  bsonobjectid: form(/^[0-9a-fA-F]{24}$/),
  uri: isUri,
  email: form(/^[^\s@<>]+@[^\s@<>]+$/),
  hostname: isHostname,
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: isCidr,
  mac: form(
    /^[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}((\1[0-9a-fA-F]{2}){2}|(\1[0-9a-fA-F]{2}){14})?$|^[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}(\.[0-9a-fA-F]{4})?$/,
  ),
  uuid: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  isbn: (value) => isIsbn10(value) || isIsbn13(value),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: (value) =>
    /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/.test(
      value.replace(/\D/g, ''),
    ),
  ssn: form(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: form(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: form(
    /^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$/,
  ),
  byte: form(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/),
  date: isDate,
  'date-time': isDateTime,
  datetime: isDateTime,
  duration: (value) => DURATION.test(value) || SCALA_DURATION.test(value),
}

/** What is wrong with a string by the format of its schema; undefined if nothing is. */
export function formatFlaw(format: string, value: string): string | undefined {
  return Object.hasOwn(FORMATS, format) && !FORMATS[format]!(value) ? `must be of type ${format}` : undefined
}

/** An absolute URI, or a path on a host. */
function isUri(value: string): boolean {
  return value.startsWith('/') ? !/\s/.test(value) : URL.canParse(value)
}

function isHostname(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= 253 &&
    value
      .replace(/\.$/, '')
      .split('.')
      .every((label) => LABEL.test(label))
  )
}

function isCidr(value: string): boolean {
  const [address = '', length = '', ...more] = value.split('/')
  const family = isIP(address)
  return (
    family !== 0 &&
    more.length === 0 &&
    /^(0|[1-9]\d{0,2})$/.test(length) &&
    Number(length) <= (family === 4 ? 32 : 128)
  )
}

function isDate(value: string): boolean {
  if (!DATE.test(value)) return false
  const date = new Date(`${value}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value)
}

function isDateTime(value: string): boolean {
  const [, date, hours, minutes, seconds] = TIME.exec(value) ?? []
  return date !== undefined && isDate(date) && Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) <= 60
}

function isIsbn10(value: string): boolean {
  const digits = value.replace(/[\s-]/g, '')
  if (!/^\d{9}[\dXx]$/.test(digits)) return false
  const sum = [...digits].reduce(
    (total, digit, index) => total + (10 - index) * (/x/i.test(digit) ? 10 : Number(digit)),
    0,
  )
  return sum % 11 === 0
}

function isIsbn13(value: string): boolean {
  const digits = value.replace(/[\s-]/g, '')
  if (!/^\d{13}$/.test(digits)) return false
  return [...digits].reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0) % 10 === 0
}
