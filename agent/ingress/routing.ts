/**
 * From rules to a table that a proxy can look up: for each host pattern the rules of all patterns that cover it, for
 * each path the rules of all its prefixes, in order of precedence. So a request needs one look-up of its host, one of
 * its path, and then the conditions of few candidates.
 *
 * Precedence (https://gateway-api.sigs.k8s.io/reference/spec/#httproute; Ingress agrees where both speak): the more
 * specific host; Exact path, then expressions, then the longer prefix; a method; more headers; more query parameters;
 * then the older object.
 */
import { compareHosts, coversPattern } from './hosts.ts'
import {
  matchesEverything,
  type RouteCandidate,
  type HostPattern,
  type PathNode,
  type RoutingRule,
  type VirtualHost,
} from './proxy-model.ts'

/** Rules of the listeners of one hostname: who sends requests there gets none of a less specific listener. */
export interface Scope {
  readonly hostname: HostPattern
  readonly rules: readonly RoutingRule[]
}

const PATH_ORDER = { exact: 0, expression: 1, prefix: 2 } as const

/** Negative if `a` comes first. */
export function compareRules(a: RoutingRule, b: RoutingRule): number {
  const differences = [
    Number(a.fallback) - Number(b.fallback),
    compareHosts(a.host, b.host),
    PATH_ORDER[a.path.type] - PATH_ORDER[b.path.type],
    b.path.value.length - a.path.value.length,
    Number(b.condition.method !== undefined) - Number(a.condition.method !== undefined),
    b.condition.headers.length - a.condition.headers.length,
    b.condition.queryParams.length - a.condition.queryParams.length,
  ]
  const first = differences.find((difference) => difference !== 0)
  if (first !== undefined) return first
  for (const [index, text] of a.order.entries()) {
    const other = b.order[index] ?? ''
    if (text !== other) return text < other ? -1 : 1
  }
  return 0
}

/** The elements' prefixes of a path, itself among them: "/a/b" → "/", "/a", "/a/b". */
export function prefixesOf(path: string): string[] {
  const prefixes = ['/']
  for (let at = path.indexOf('/', 1); at !== -1; at = path.indexOf('/', at + 1)) prefixes.push(path.slice(0, at))
  if (path !== '/' && !path.endsWith('/')) prefixes.push(path)
  return [...new Set(prefixes)]
}

/** Without a slash at the end: it means the same. */
export function normalPrefix(path: string): string {
  return path.replace(/\/+$/, '') || '/'
}

/**
 * `common`: rules of Ingresses, which belong to no listener: those with a host count in every scope, those without in
 * that of all hosts. The pattern '*' is always among the answers.
 */
export function virtualHosts(common: readonly RoutingRule[], scopes: readonly Scope[]): VirtualHost[] {
  const patterns = new Set<HostPattern>([
    '*',
    ...common.map(({ host }) => host),
    ...scopes.flatMap(({ hostname, rules }) => [hostname, ...rules.map(({ host }) => host)]),
  ])
  const merged = new Map<HostPattern, RoutingRule[]>()
  for (const { hostname, rules } of scopes) merged.set(hostname, [...(merged.get(hostname) ?? []), ...rules])
  const scopeNames = [...merged.keys()].sort(compareHosts)
  const byHost = groupBy(common, ({ host }) => host)
  return [...patterns]
    .sort((a, b) => compareHosts(a, b) || (a < b ? -1 : 1))
    .map((pattern): VirtualHost => {
      const scope = scopeNames.find((name) => coversPattern(name, pattern)) ?? '*'
      const covering = [...byHost]
        .filter(([host]) => coversPattern(host, pattern) && (host !== '*' || scope === '*'))
        .flatMap(([, rules]) => rules)
      const rules = [...covering, ...(merged.get(scope) ?? []).filter(({ host }) => coversPattern(host, pattern))]
      return { pattern, paths: pathNodes(rules) }
    })
}

function pathNodes(rules: readonly RoutingRule[]): PathNode[] {
  const sorted = [...rules].sort(compareRules)
  const expressions = sorted.filter(({ path }) => path.type === 'expression')
  const prefixes = groupBy(
    sorted.filter(({ path }) => path.type === 'prefix'),
    ({ path }) => normalPrefix(path.value),
  )
  const exact = groupBy(
    sorted.filter(({ path }) => path.type === 'exact'),
    ({ path }) => path.value,
  )
  const below = (path: string): RoutingRule[] => [
    ...expressions,
    ...prefixesOf(path).flatMap((prefix) => prefixes.get(prefix) ?? []),
  ]
  return [
    ...[...exact].map(([value, own]): PathNode => ({
      type: 'exact',
      value,
      choices: choices([...own, ...below(value)]),
    })),
    ...[...new Set(['/', ...prefixes.keys()])].map((value): PathNode => ({
      type: 'prefix',
      value,
      choices: choices(below(value)),
    })),
  ].sort((a, b) => (a.type === b.type ? (a.value < b.value ? -1 : 1) : a.type < b.type ? -1 : 1))
}

/** In order, up to the first that always holds. */
function choices(rules: RoutingRule[]): RouteCandidate[] {
  const sorted = rules.sort(compareRules)
  const last = sorted.findIndex(({ condition }) => matchesEverything(condition))
  return (last === -1 ? sorted : sorted.slice(0, last + 1)).map(({ condition, shares, owner }) => ({
    condition,
    shares,
    owner,
  }))
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}
