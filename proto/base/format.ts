/**
 * The named rules of the option `format`: what a value must look like. Sources: RFC 1123 names and Kubernetes' labels
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/, …/labels/), resource names, ports, file
 * modes.
 */
import { readAddress, readCidr } from './cidr.ts'
import { UNSUPPORTED_MESSAGE, type CauseType } from './problem.ts'

/** What is wrong with a value and how it would be right. */
export interface Flaw {
  readonly message: string
  readonly remedy: string
  /** True if it is refused only because Gantry does not act on it. */
  readonly unsupported?: boolean
  /** FieldValueInvalid, if it says none. */
  readonly reason?: CauseType
}

export type Format = (value: string | number) => Flaw | undefined

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

/** A text of at most `length` characters that matches. */
function text(pattern: RegExp, length: number, message: string, remedy: string): Format {
  return (value) => {
    const given = String(value)
    // A character has at most three bytes for each of its UTF-16 units.
    const size = given.length * 3 <= length ? 0 : Buffer.byteLength(given)
    if (size > length) return { message: `has ${size} characters, at most ${length} are allowed`, remedy: 'shorten it' }
    return pattern.test(given) ? undefined : { message, remedy }
  }
}

/** A whole number within a range, both ends included. */
function range(least: number, most: number): Format {
  const allowed = most === Infinity ? `${least} or more` : `from ${least} to ${most}`
  return (value) =>
    Number(value) >= least && Number(value) <= most
      ? undefined
      : { message: 'is out of range', remedy: `give a number ${allowed}` }
}

const dnsLabel = text(
  LABEL,
  63,
  'is not a DNS label',
  'use lower-case letters, digits and "-", beginning and ending with a letter or digit',
)
const dnsSubdomain = text(
  SUBDOMAIN,
  253,
  'is not a DNS name',
  'use lower-case letters, digits, "-" and ".", each part beginning and ending with a letter or digit',
)
const qualifiedPart = text(
  QUALIFIED,
  63,
  'is not a valid name',
  'use letters, digits, "-", "_" and ".", beginning and ending with a letter or digit',
)

/** An optional DNS prefix, a slash, and a name: keys of labels, annotations, taints and resources. */
function labelKey(value: string | number): Flaw | undefined {
  const key = String(value)
  const slash = key.indexOf('/')
  if (slash === -1) return qualifiedPart(key)
  if (key.includes('/', slash + 1)) return { message: 'has more than one "/"', remedy: 'write NAME or DNS-PREFIX/NAME' }
  return dnsSubdomain(key.slice(0, slash)) ?? qualifiedPart(key.slice(slash + 1))
}

function labelValue(value: string | number): Flaw | undefined {
  return value === '' ? undefined : qualifiedPart(value)
}

/** A name with a prefix of its owner's domain: a finalizer, a condition, a signer. */
function ownedName(value: string | number): Flaw | undefined {
  return (
    labelKey(value) ??
    (String(value).includes('/')
      ? undefined
      : { message: 'has no prefix', remedy: 'write DNS-PREFIX/NAME, such as example.com/cleanup' })
  )
}

/** Names that Kubernetes itself uses without a prefix. */
const PLAIN_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion'])

/** https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ */
const PLAIN_RESOURCES = new Set(['cpu', 'memory', 'ephemeral-storage', 'pods'])

function resourceName(value: string | number): Flaw | undefined {
  const name = String(value)
  if (PLAIN_RESOURCES.has(name)) return undefined
  if (name.startsWith('hugepages-')) return { message: UNSUPPORTED_MESSAGE, remedy: 'leave it out', unsupported: true }
  return (
    labelKey(name) ??
    (name.includes('/')
      ? undefined
      : {
          message: 'is not a known resource',
          remedy: 'use cpu, memory, ephemeral-storage or an extended resource with a domain, such as example.com/gpu',
        })
  )
}

/** As resourceName; use of the disk is set aside by a request, but not held to a limit. */
function limitName(value: string | number): Flaw | undefined {
  return value === 'ephemeral-storage'
    ? { message: UNSUPPORTED_MESSAGE, remedy: 'leave it out; a request is acted on', unsupported: true }
    : resourceName(value)
}

function configKey(value: string | number): Flaw | undefined {
  const key = String(value)
  if (key === '.' || key.startsWith('..'))
    return {
      message: 'would be a special file name',
      remedy: 'choose a key that is not "." and does not begin with ".."',
    }
  return text(/^[-._a-zA-Z0-9]+$/, 253, 'is not a valid key', 'use letters, digits, "-", "_" and "."')(key)
}

function portName(value: string | number): Flaw | undefined {
  const name = String(value)
  const valid = name.length <= 15 && LABEL.test(name) && /[a-z]/.test(name) && !name.includes('--')
  return valid
    ? undefined
    : {
        message: 'is not a port name',
        remedy: 'use at most 15 lower-case letters, digits and single "-", with at least one letter (RFC 6335)',
      }
}

/** A count, or a share such as "25%". */
function countOrPercent(value: string | number): Flaw | undefined {
  if (typeof value === 'number') return range(0, Infinity)(value)
  return /^\d+%$/.test(value)
    ? undefined
    : {
        message: 'is neither a whole number nor a percentage',
        remedy: 'write a count such as 1 (without quotes) or a share such as "25%"',
      }
}

function path(value: string | number): Flaw | undefined {
  const given = String(value)
  return given.includes('..') && given.split('/').includes('..')
    ? { message: 'leads upwards', remedy: 'write it without ".."' }
    : undefined
}

function absolutePath(value: string | number): Flaw | undefined {
  return String(value).startsWith('/')
    ? path(value)
    : { message: 'is not an absolute path', remedy: 'begin it with "/"' }
}

/** Runtimes and their options separate paths by colons. */
function mountPath(value: string | number): Flaw | undefined {
  return String(value).includes(':') ? { message: 'has a ":"', remedy: 'mount it elsewhere' } : absolutePath(value)
}

function relativePath(value: string | number): Flaw | undefined {
  return String(value).startsWith('/')
    ? { message: 'is not a relative path', remedy: 'write it without the leading "/"' }
    : path(value)
}

/** https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/ */
function environmentName(name: string, message: string): Flaw | undefined {
  return /^[ -<>-~]+$/.test(name) ? undefined : { message, remedy: 'use printable ASCII characters other than "="' }
}

/**
 * Whether it is a reference at all is for the node to tell, which shows InvalidImageName where it is none: so it is
 * with Kubernetes.
 */
function image(value: string | number): Flaw | undefined {
  const reference = String(value)
  if (reference === '')
    return { message: 'is not an image reference', remedy: 'write [REGISTRY/]REPOSITORY[:TAG][@DIGEST]' }
  return reference.trim() === reference
    ? undefined
    : { message: 'must not have leading or trailing whitespace', remedy: 'leave the whitespace out' }
}

/** signal(7) */
const SIGNALS = new Set(
  'ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT RTMAX RTMIN SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ'.split(
    ' ',
  ),
)

/**
 * An address without a zone: what stands behind "%" is only checked by the machine that has the interface, and may be
 * any text.
 */
function ip(value: string | number): Flaw | undefined {
  return readAddress(String(value)) === undefined
    ? { message: 'is not an IP address', remedy: 'write it as 10.0.0.1 or fd00::1' }
    : undefined
}

function cidr(value: string | number): Flaw | undefined {
  return readCidr(String(value)) === undefined
    ? { message: 'is not a range of addresses', remedy: 'write it as 10.64.3.0/24 or fd00::/64' }
    : undefined
}

const hostName = text(
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i,
  253,
  'is neither an address nor a DNS name',
  'write it as 10.0.0.1, fd00::1 or host.example.com',
)

function host(value: string | number): Flaw | undefined {
  return ip(value) === undefined ? undefined : hostName(value)
}

function signal(value: string | number): Flaw | undefined {
  const name = String(value)
  const known =
    name.startsWith('SIG') &&
    (SIGNALS.has(name.slice(3)) ||
      /^SIGRTMIN\+(?:[1-9]|1[0-5])$/.test(name) ||
      /^SIGRTMAX-(?:[1-9]|1[0-4])$/.test(name))
  return known
    ? undefined
    : { message: 'is not the name of a signal', remedy: 'write it as in signal(7), such as SIGUSR1 or SIGRTMIN+3' }
}

/** By name, as the option `format` says it. */
export const formats = {
  dnsLabel,
  dnsSubdomain,
  labelKey,
  labelValue,
  ownedName,
  finalizer: (value) => (PLAIN_FINALIZERS.has(String(value)) ? undefined : ownedName(value)),
  resourceName,
  limitName,
  configKey,
  portName,
  countOrPercent,
  absolutePath,
  mountPath,
  relativePath,
  envName: (value) => environmentName(String(value), 'is not a name of an environment variable'),
  /** What stands before environment names. */
  envPrefix: (value) => (value === '' ? undefined : environmentName(String(value), 'is not a valid prefix')),
  sysctlName: text(
    /^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/,
    253,
    'is not the name of a sysctl',
    'write it as in sysctl(8), such as net.core.somaxconn',
  ),
  capability: text(
    /^[A-Z0-9_]+$/,
    64,
    'is not the name of a capability',
    'write it in capitals, such as NET_ADMIN, or ALL',
  ),
  image,
  ip,
  cidr,
  /** An address or the name of a host. */
  host,
  /** Of a network interface in Linux: at most 15 characters. */
  interfaceName: text(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    15,
    'is not the name of a network interface',
    'use letters, digits, ".", "_" and "-", such as eth1',
  ),
  /** What a runtime or a registry knows an image by; empty where it is not known yet. */
  imageId: text(/^[\w.\-/:@+]*$/, 4096, 'does not identify an image', 'write it as REPOSITORY@sha256:DIGEST'),
  containerId: text(
    /^[a-z][a-z0-9.+-]*:\/\/[\w.-]+$/,
    512,
    'does not identify a container',
    'write it as RUNTIME://ID',
  ),
  kindName: text(
    /^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$/,
    63,
    'is not the name of a kind',
    'write it as in kind: Gateway',
  ),
  /** https://gateway-api.sigs.k8s.io/reference/spec/#gatewaycontroller */
  controllerName: text(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[\w\-./~%!$&'()*+,;=:]+$/,
    253,
    'is not the name of a controller',
    'write DOMAIN/PATH, such as example.com/gateway',
  ),
  /**
   * A text for people that fits into one line: nothing that a terminal or another program would take for the end of it.
   */
  line: text(
    /^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$/,
    1024,
    'has line breaks or other control characters',
    'write it in one line',
  ),
  signal,
  httpHeader: text(
    /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/,
    256,
    'is not the name of an HTTP header',
    'use letters, digits and "-", such as X-Probe',
  ),
  port: range(1, 65535),
  // 0: none.
  hostPort: range(0, 65535),
  /** A VXLAN network identifier (RFC 7348). */
  vni: range(1, 2 ** 24 - 1),
  fileMode: range(0, 0o777),
  userId: range(0, 2 ** 31 - 1),
  weight: range(1, 100),
  nonNegative: range(0, Infinity),
  positive: range(1, Infinity),
} satisfies Record<string, Format>

/** The rule of that name; a name that does not exist is a mistake in the schema. */
export function formatRule(name: string): Format {
  const rule: Format | undefined = (formats as Record<string, Format>)[name]
  if (rule === undefined) throw new TypeError(`no format ${name}`)
  return rule
}
