/**
 * A port's section of the configuration, with the maps that it looks things up in.
 *
 *   host ──hosts, wildcards──▶ virtual host ─┬─ exact ──┐
 *                                            └ prefixes ┴▶ backend, or "=sN": candidates with conditions ──▶ backend,
 * or "=wN": shares ──▶ backend
 *
 * A worker whose configuration has been replaced finishes what it has begun; what comes to it later, on connections
 * that are still open, it hands on to its successor, by way of a socket that every port has beside its addresses. So
 * the endpoints that it knows need not be kept up to date.
 *
 * The virtual host "v0" is that of all hosts. Prefixes end with a slash, and so does what is looked up among them: "/a"
 * is not in "/ab".
 */
import { createHash } from 'node:crypto'
import { compareHosts, hostExpression } from './hosts.ts'
import {
  matchesEverything,
  type Certificate,
  type RouteCandidate,
  type RequestMatch,
  type FrontendPort,
  type WeightedBackend,
} from './proxy-model.ts'
import { fetchArgument, mapKey as keyWord, sectionName as nameWord, quote } from './haproxy-syntax.ts'

/** A line, and the object that it comes from, if it is one object's. */
export interface Line {
  readonly text: string
  readonly owner?: string
}

export interface FrontendSection {
  readonly lines: readonly Line[]
  /** By name. */
  readonly files: ReadonlyMap<string, string>
}

export interface BindSettings {
  /** Addresses to listen at, each as HAProxy writes it before the port: "127.0.0.1", "[::1]", "*". */
  readonly addresses: readonly string[]
  /** Tells this proxy's sockets from those of others on the machine. */
  readonly directory: string
}

const NOT_FOUND = 'answer.404'

export function frontendSection(port: FrontendPort, { addresses, directory }: BindSettings): FrontendSection {
  const name = `p${port.port}`
  const door = `abns@gantry-entrance-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}-${name}`
  const tables = new RoutingTables()
  const files = new Map<string, string>()
  const ids = new Map([...port.hosts].map(({ pattern }, index) => [pattern, pattern === '*' ? 'v0' : `v${index + 1}`]))
  const put = (kind: string, entries: readonly string[]): void =>
    void files.set(`${name}.${kind}`, entries.map((entry) => `${entry}\n`).join(''))
  put(
    'hosts',
    [...ids].filter(([pattern]) => !pattern.startsWith('*')).map(([pattern, id]) => `${keyWord(pattern)} ${id}`),
  )
  put(
    'wildcards',
    [...ids]
      .filter(([pattern]) => pattern.startsWith('*') && pattern !== '*')
      .sort(([a], [b]) => compareHosts(a, b))
      .map(([pattern, id]) => `${keyWord(hostExpression(pattern))} ${id}`),
  )
  const nodes = port.hosts.flatMap(({ pattern, paths }) => paths.map((node) => ({ ...node, id: ids.get(pattern)! })))
  put(
    'exact',
    nodes
      .filter(({ type }) => type === 'exact')
      .map(({ id, value, choices }) => `${keyWord(`${id}|${value}`)} ${tables.target(choices)}`),
  )
  put(
    'prefixes',
    nodes
      .filter(({ type }) => type === 'prefix')
      .map(({ id, value, choices }) => `${keyWord(`${id}|${value === '/' ? '' : value}/`)} ${tables.target(choices)}`),
  )
  if (port.certificates !== undefined) put('certificates', port.certificates.map(certificateLine))
  const lines = [
    `frontend ${name}`,
    ...addresses.map(
      (address) =>
        `  bind ${address}:${port.port}${bindWords(address)}${port.certificates === undefined ? '' : ` ssl crt-list ${name}.certificates alpn h2,http/1.1`}`,
    ),
    `  bind ${door} accept-proxy`,
    ...lookUp(name, port),
  ].map((text): Line => ({ text }))
  return {
    lines: [
      ...lines,
      ...tables.lines,
      ...[
        `  use_backend next.${name} if { stopping }`,
        '  use_backend %[var(txn.to)]',
        `  default_backend ${NOT_FOUND}`,
        `backend next.${name}`,
        `  server next ${door} send-proxy-v2 proto h2 ws h1`,
      ].map((text) => ({ text })),
    ],
    files,
  }
}

function bindWords(address: string): string {
  return address === '::' ? ' v4v6' : ''
}

function certificateLine({ name, hosts }: Certificate): string {
  return [`certificates/${nameWord(name)}.pem`, ...hosts.filter((host) => host !== '*').map(certificateHost)].join(' ')
}

/** Without what has a meaning of its own in such a list: brackets, and "!" for "not this one". */
function certificateHost(host: string): string {
  return host.startsWith('*.') ? `*.${nameWord(host.slice(2))}` : nameWord(host)
}

/** Incoming X-Forwarded headers say what the client likes, so they are replaced. */
function lookUp(name: string, { port, certificates }: FrontendPort): string[] {
  const scheme = certificates === undefined ? 'http' : 'https'
  const shown = port === (scheme === 'http' ? 80 : 443) ? '' : `:${port}`
  const map = (kind: string, way: string): string => `map_${way}(${name}.${kind})`
  return [
    '  http-request set-var(txn.host) req.hdr(host),host_only,lower',
    '  http-request set-var(txn.path) path',
    `  http-request set-var(txn.scheme) str(${scheme})`,
    `  http-request set-var(txn.port) str(${quote(shown === '' ? '""' : shown)})`,
    `  http-request set-var(txn.vhost) var(txn.host),${map('hosts', 'str')}`,
    `  http-request set-var(txn.vhost) var(txn.host),${map('wildcards', 'reg')} unless { var(txn.vhost) -m found }`,
    '  http-request set-var(txn.vhost) str(v0) unless { var(txn.vhost) -m found }',
    `  http-request set-var(txn.to) var(txn.vhost),concat(|,txn.path),${map('exact', 'str')}`,
    `  http-request set-var(txn.to) var(txn.vhost),concat(|,txn.path,/),${map('prefixes', 'beg')} unless { var(txn.to) -m found }`,
    '  http-request del-header x-forwarded- -m beg',
    '  http-request set-header X-Forwarded-For %[src]',
    `  http-request set-header X-Forwarded-Proto ${scheme}`,
    `  http-request set-header X-Forwarded-Port ${port}`,
    '  http-request set-header X-Forwarded-Host %[req.hdr(host)] if { req.hdr(host) -m found }',
    '  http-request del-header forwarded',
  ]
}

/** Lists of candidates and shares, each different one once. */
class RoutingTables {
  readonly #sets = new Map<string, string>()
  readonly #shares = new Map<string, string>()
  readonly #conditions = new Map<string, string>()
  readonly #acls: Line[] = []
  readonly #choices: Line[] = []
  readonly #picks: Line[] = []

  /** Candidates before shares: what a candidate answers may be shares. */
  get lines(): Line[] {
    return [...this.#acls, ...this.#choices, ...this.#picks]
  }

  target(choices: readonly RouteCandidate[]): string {
    const [first] = choices
    if (first === undefined) return NOT_FOUND
    if (matchesEverything(first.condition)) return this.#shared(first)
    const key = JSON.stringify(choices)
    const known = this.#sets.get(key)
    if (known !== undefined) return known
    const name = `=s${this.#sets.size}`
    this.#sets.set(key, name)
    const acl = `set${this.#sets.size - 1}`
    this.#acls.push({ text: `  acl ${acl} var(txn.to) -m str ${quote(name)}` })
    for (const choice of choices) {
      const conditions = this.#condition(choice.condition, choice.owner)
      this.#choices.push({
        text: `  http-request set-var(txn.to) str(${this.#shared(choice)}) if ${[acl, ...conditions].join(' ')}`,
        owner: choice.owner,
      })
    }
    return name
  }

  #condition({ method, headers, queryParams, pathExpression }: RequestMatch, owner: string): string[] {
    return [
      ...(method === undefined ? [] : [this.#acl(`method ${nameWord(method)}`, owner)]),
      ...(pathExpression === undefined ? [] : [this.#acl(`path -m reg -- ${quote(`^(?:${pathExpression})$`)}`, owner)]),
      ...headers.map(({ type, name, value }) =>
        this.#acl(`${quote(`req.fhdr(${fetchArgument(name)})`)} ${match(type, value)}`, owner),
      ),
      ...queryParams.map(({ type, name, value }) =>
        this.#acl(`${quote(`url_param(${fetchArgument(name)}),url_dec(1)`)} ${match(type, value)}`, owner),
      ),
    ]
  }

  #acl(text: string, owner: string): string {
    const name = this.#conditions.get(text) ?? `is${this.#conditions.size}`
    if (!this.#conditions.has(text)) {
      this.#conditions.set(text, name)
      this.#acls.push({ text: `  acl ${name} ${text}`, owner })
    }
    return name
  }

  #shared({ shares, owner }: RouteCandidate): string {
    if (shares.length === 1) return nameWord(shares[0]!.backend)
    const key = JSON.stringify(shares)
    const known = this.#shares.get(key)
    if (known !== undefined) return known
    const number = this.#shares.size
    const name = `=w${number}`
    this.#shares.set(key, name)
    this.#picks.push(...sharedLines(name, `share${number}`, shares).map((text) => ({ text, owner })))
    return name
  }
}

function match(type: string, value: string): string {
  return type === 'RegularExpression' ? `-m reg -- ${quote(`^(?:${value})$`)}` : `-m str -- ${quote(value)}`
}

/** One throw of the dice, then the first share that it falls into. */
function sharedLines(name: string, acl: string, shares: readonly WeightedBackend[]): string[] {
  const total = shares.reduce((sum, { weight }) => sum + weight, 0)
  let upTo = 0
  return [
    `  acl ${acl} var(txn.to) -m str ${quote(name)}`,
    `  http-request set-var(txn.dice) rand(${total}) if ${acl}`,
    ...shares.map(({ backend, weight }, index) => {
      upTo += weight
      return `  http-request set-var(txn.to) str(${nameWord(backend)}) if ${acl}${index === shares.length - 1 ? '' : ` { var(txn.dice) -m int lt ${upTo} }`}`
    }),
  ]
}
