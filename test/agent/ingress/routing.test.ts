import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compareHosts, coversPattern, hostExpression } from '../../../agent/ingress/hosts.ts'
import { MATCH_ALL, type RoutingRule, type VirtualHost } from '../../../agent/ingress/proxy-model.ts'
import { compareRules, normalPrefix, prefixesOf, virtualHosts, type Scope } from '../../../agent/ingress/routing.ts'

interface Asked {
  readonly host: string
  readonly path: string
  readonly method: string
  readonly headers: readonly string[]
}

const matchesHost = (pattern: string, host: string): boolean =>
  pattern === '*' || (pattern.startsWith('*') ? new RegExp(hostExpression(pattern)).test(host) : pattern === host)

/** The rule read plainly. */
function matches({ host, path, condition }: RoutingRule, asked: Asked): boolean {
  const fits =
    path.type === 'exact'
      ? asked.path === path.value
      : path.type === 'prefix'
        ? prefixesOf(asked.path).includes(normalPrefix(path.value)) || normalPrefix(path.value) === '/'
        : new RegExp(`^(?:${path.value})$`).test(asked.path)
  return fits && matchesHost(host, asked.host) && holds(condition, asked)
}

function holds({ method, headers, pathExpression }: RoutingRule['condition'], asked: Asked): boolean {
  return (
    (method === undefined || method === asked.method) &&
    headers.every(({ name }) => asked.headers.includes(name)) &&
    (pathExpression === undefined || new RegExp(`^(?:${pathExpression})$`).test(asked.path))
  )
}

/**
 * As the proxy looks things up: the most specific host, the exact path or else the longest prefix, the first candidate.
 */
function lookUp(hosts: readonly VirtualHost[], asked: Asked): string | undefined {
  const host = [...hosts]
    .sort((a, b) => compareHosts(a.pattern, b.pattern))
    .find(({ pattern }) => matchesHost(pattern, asked.host))!
  const exact = host.paths.find(({ type, value }) => type === 'exact' && value === asked.path)
  const prefix = host.paths
    .filter(({ type, value }) => type === 'prefix' && `${asked.path}/`.startsWith(value === '/' ? '/' : `${value}/`))
    .sort((a, b) => b.value.length - a.value.length)[0]
  return (exact ?? prefix)?.choices.find(({ condition }) => holds(condition, asked))?.shares[0]!.backend
}

const hostPattern = fc.constantFrom('*', 'a.x', 'b.x', 'c.a.x', '*.x', '**.x', '*.a.x', '**.a.x')
const path = fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const rules = (host: fc.Arbitrary<string>) =>
  fc.array(
    fc.record({
      host,
      path: fc.oneof(
        fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: path }),
        fc.constantFrom('/a.*', '/b/[a-z]+').map((value) => ({ type: 'expression' as const, value })),
      ),
      method: fc.option(fc.constantFrom('GET', 'PUT'), { nil: undefined }),
      headers: fc.subarray(['h1', 'h2']),
      fallback: fc.boolean(),
    }),
    { maxLength: 12 },
  )

function make(
  drafts: readonly {
    host: string
    path: RoutingRule['path']
    method: string | undefined
    headers: string[]
    fallback: boolean
  }[],
  from: string,
): RoutingRule[] {
  return drafts.map(({ fallback, host, method, headers, ...draft }, index): RoutingRule => {
    const name = `${from}${String(index).padStart(3, '0')}`
    if (fallback)
      return {
        host: '*',
        path: { type: 'prefix', value: '/' },
        condition: MATCH_ALL,
        shares: [{ backend: name, weight: 1 }],
        fallback,
        order: [name],
        owner: name,
      }
    const condition = {
      ...MATCH_ALL,
      method,
      headers: headers.map((header) => ({ type: 'Exact' as const, name: header, value: '1' })),
      ...(draft.path.type === 'expression' ? { pathExpression: draft.path.value } : {}),
    }
    return { ...draft, host, condition, shares: [{ backend: name, weight: 1 }], fallback, order: [name], owner: name }
  })
}

const asked = fc.record({
  host: fc.constantFrom('a.x', 'b.x', 'c.a.x', 'd.c.a.x', 'x', 'other'),
  path,
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  headers: fc.subarray(['h1', 'h2']),
})

describe('routing table', () => {
  it('answers as the rules read one by one in order of precedence', () => {
    fc.assert(
      fc.property(rules(hostPattern), fc.array(asked, { minLength: 5, maxLength: 20 }), (drafts, requests) => {
        const all = make(drafts, 'r')
        const table = virtualHosts(all, [])
        for (const request of requests) {
          assert.equal(
            lookUp(table, request),
            all.filter((rule) => matches(rule, request)).sort(compareRules)[0]?.shares[0]!.backend,
          )
        }
      }),
      { numRuns: 300 },
    )
  })

  it('keeps requests of a listener from less specific ones', () => {
    fc.assert(
      fc.property(rules(fc.constant('*.x')), rules(fc.constant('a.x')), asked, (wide, narrow, request) => {
        const scopes: Scope[] = [
          {
            hostname: '**.x',
            rules: make(
              wide.map((draft) => ({ ...draft, host: '**.x', fallback: false })),
              'w',
            ),
          },
          {
            hostname: 'a.x',
            rules: make(
              narrow.map((draft) => ({ ...draft, fallback: false })),
              'n',
            ),
          },
        ]
        const scope = scopes
          .filter(({ hostname }) => matchesHost(hostname, request.host))
          .sort((a, b) => compareHosts(a.hostname, b.hostname))[0]
        assert.equal(
          lookUp(virtualHosts([], scopes), request),
          (scope?.rules ?? []).filter((rule) => matches(rule, request)).sort(compareRules)[0]?.shares[0]!.backend,
        )
      }),
      { numRuns: 200 },
    )
  })

  const pairs: [outer: string, inner: string, covers: boolean][] = [
    ['*', 'a.x', true],
    ['*', '**.x', true],
    ['a.x', '*', false],
    ['*.x', 'a.x', true],
    ['*.x', 'b.a.x', false],
    ['*.x', 'x', false],
    ['**.x', 'b.a.x', true],
    ['**.x', '*.x', true],
    ['*.x', '**.x', false],
    ['**.x', '*.a.x', true],
    ['*.x', '*.a.x', false],
    ['**.x', 'ax', false],
    ['**.a.x', '**.x', false],
  ]
  for (const [outer, inner, covers] of pairs)
    it(`${outer} ${covers ? 'covers' : 'does not cover'} ${inner}`, () =>
      assert.equal(coversPattern(outer, inner), covers))
})
