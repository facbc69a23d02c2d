/** A backend's section of the configuration: what is done to requests, and the places for servers. */
import type { HTTPHeaderFilter } from '../../proto/gen/types.ts'
import type {
  Backend,
  BackendDestination,
  Endpoint,
  PathChange,
  BackendProtocol,
  Redirect,
  RequestFilters,
} from './proxy-model.ts'
import { serverAddress as addressWord, formatString, sectionName as nameWord, quote } from './haproxy-syntax.ts'

/** Requests that may be sent again when a connection broke after they were sent. RFC 9110, 9.2.2. */
const IDEMPOTENT = 'GET HEAD OPTIONS PUT DELETE TRACE'
/** Milliseconds; what "no end" is for HAProxy. */
const NO_TIMEOUT_MS = 24 * 24 * 3_600_000
const MIN_SERVER_SLOTS = 4

const WELL_KNOWN: Readonly<Record<string, number>> = { http: 80, https: 443 }
/** A place that no pod has: discard. */
const DISCARD_ADDRESS = '127.0.0.1:9'

/** How many servers a backend has room for: some more than there are, so that more of them need no reload. */
function serverSlotsFor(endpoints: number): number {
  let places = MIN_SERVER_SLOTS
  while (places < endpoints + Math.ceil(endpoints / 4)) places *= 2
  return places
}

export interface BackendSection {
  readonly lines: readonly string[]
  /** As much of it as does not change when endpoints do. */
  readonly structure: readonly string[]
}

export function backendSection({ name, destination, treatment }: Backend): BackendSection {
  const head = [`backend ${nameWord(name)}`]
  switch (destination.is) {
    case 'answer': {
      const lines = [
        ...head,
        `  http-request return status ${destination.status} content-type text/plain string ${quote(`${STATUS_RESPONSES[destination.status] ?? String(destination.status)}.`)}`,
      ]
      return { lines, structure: lines }
    }
    case 'redirect': {
      const lines = [
        ...head,
        ...redirectLines(destination.redirect),
        ...responseLines(treatment).map((line) => line.replace('http-response', 'http-after-response')),
      ]
      return { lines, structure: lines }
    }
    case 'name': {
      const lines = [
        ...head,
        ...filterLines(treatment),
        ...resolvingLines(destination.host),
        `  server s 0.0.0.0:${destination.port}${protocolWords(destination.protocol)}`,
      ]
      return { lines, structure: lines }
    }
    case 'endpoints': {
      const common = [
        ...head,
        `  balance ${destination.sticky ? 'source' : 'roundrobin'}`,
        ...(destination.sticky ? ['  hash-type consistent'] : []),
        ...filterLines(treatment),
      ]
      return {
        lines: [...common, ...serverLines(destination)],
        structure: [...common, `  servers${protocolWords(destination.protocol)}`],
      }
    }
  }
}

/**
 * Addresses that are this machine's own affair: whoever may name a name could reach what the node's programs say to
 * each other only. RFC 6890.
 */
const HOST_LOCAL_RANGES = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '::', '::1', 'fe80::/10']

/** The name's address, looked up again when it is old; of IPv6 where it has none of IPv4. */
function resolvingLines(host: string): string[] {
  const refuse = (text: string): string =>
    `  http-request return status 503 content-type text/plain string ${quote(`${text}.`)}`
  return [
    `  http-request do-resolve(txn.address,names,ipv4) str(${nameWord(host)})`,
    `${refuse("the backend's name has no address")} unless { var(txn.address) -m found }`,
    `${refuse("the backend's name leads to the node itself")} if { var(txn.address) -m ip ${HOST_LOCAL_RANGES.join(' ')} }`,
    '  http-request set-dst var(txn.address)',
  ]
}

const STATUS_RESPONSES: Readonly<Record<number, string>> = {
  404: 'no route matches this request',
  500: 'the route has no valid backend',
  503: 'the backend does not exist',
}

function serverLines({ endpoints, protocol }: Extract<BackendDestination, { is: 'endpoints' }>): string[] {
  const words = protocolWords(protocol)
  return Array.from({ length: serverSlotsFor(endpoints.length) }, (_, index) => {
    const endpoint = endpoints[index]
    return `  server s${index + 1} ${endpoint === undefined ? DISCARD_ADDRESS : socketAddress(endpoint)}${words}${endpoint === undefined ? ' disabled' : ''}`
  })
}

function socketAddress({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${addressWord(address)}]:${port}` : `${addressWord(address)}:${port}`
}

function protocolWords(protocol: BackendProtocol): string {
  switch (protocol) {
    case 'http1':
      return ''
    case 'http2':
      return ' proto h2'
    // The certificate of a pod has no name that could be checked.
    case 'https':
      return ' ssl verify none alpn h2,http/1.1 sni req.hdr(host),host_only'
  }
}

function filterLines(treatment: RequestFilters): string[] {
  const { requestHeaders, rewrite, timeout } = treatment
  return [
    ...(timeout === undefined ? [] : [`  timeout server ${timeout === 0 ? NO_TIMEOUT_MS : timeout}`]),
    `  http-request disable-l7-retry unless { method ${IDEMPOTENT} }`,
    ...requestHeaders.flatMap((filter) => headerLines('http-request', filter)),
    ...(rewrite?.hostname === undefined ? [] : [`  http-request set-header host ${formatString(rewrite.hostname)}`]),
    ...(rewrite?.path === undefined
      ? []
      : pathCases(rewrite.path).map(
          ({ path, condition }) => `  http-request set-path ${formatString(...path)}${condition}`,
        )),
    ...responseLines(treatment),
  ]
}

function responseLines({ responseHeaders }: RequestFilters): string[] {
  return responseHeaders.flatMap((filter) => headerLines('http-response', filter))
}

function headerLines(rule: string, { set = [], add = [], remove = [] }: HTTPHeaderFilter): string[] {
  return [
    ...set.map(({ name, value }) => `  ${rule} set-header ${quote(name)} ${formatString(value)}`),
    ...add.map(({ name, value }) => `  ${rule} add-header ${quote(name)} ${formatString(value)}`),
    ...remove.map((name) => `  ${rule} del-header ${quote(name)}`),
  ]
}

type FormatPart = string | { readonly expression: string }

/**
 * The new path, with the condition under which it is that. The old one is in txn.path, so that the cases do not disturb
 * each other.
 */
function pathCases(change: PathChange): { readonly path: readonly FormatPart[]; readonly condition: string }[] {
  if ('full' in change) return [{ path: [change.full], condition: '' }]
  const prefix = change.prefix === '/' ? '' : change.prefix
  const replacement = change.replacement.replace(/\/+$/, '')
  const same = `{ var(txn.path) -m len ${prefix.length} }`
  const rest = { expression: `var(txn.path),bytes(${prefix.length})` }
  return [
    { path: [replacement, rest], condition: ` unless ${same}` },
    { path: [replacement === '' ? '/' : replacement], condition: ` if ${same}` },
  ]
}

/** With the query as it was. */
function redirectLines({ scheme, hostname, port, path, code }: Redirect): string[] {
  const authority: FormatPart[] = [
    scheme ?? { expression: 'var(txn.scheme)' },
    '://',
    hostname ?? { expression: 'var(txn.host)' },
    ...portParts(scheme, port),
  ]
  const cases = path === undefined ? [{ path: [{ expression: 'var(txn.path)' }], condition: '' }] : pathCases(path)
  return [
    `  http-request set-var-fmt(txn.query) ${formatString('?', { expression: 'query' })} if { query -m found }`,
    ...cases.map(
      (one) =>
        `  http-request redirect location ${formatString(...authority, ...one.path, { expression: 'var(txn.query)' })} code ${code}${one.condition}`,
    ),
  ]
}

function portParts(scheme: string | undefined, port: number | undefined): FormatPart[] {
  if (port === undefined) return scheme === undefined ? [{ expression: 'var(txn.port)' }] : []
  return scheme !== undefined && WELL_KNOWN[scheme] === port ? [] : [`:${port}`]
}
