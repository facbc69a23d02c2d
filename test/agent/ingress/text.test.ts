/** Whatever stands in objects, the proxy's files and commands say what is meant, and nothing else. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { endpointsOf } from '../../../agent/ingress/backends.ts'
import { renderHaproxyConfig } from '../../../agent/ingress/haproxy-config.ts'
import { MasterSocket } from '../../../agent/ingress/master-socket.ts'
import { MATCH_ALL, NO_FILTERS, type ProxyModel } from '../../../agent/ingress/proxy-model.ts'
import { virtualHosts } from '../../../agent/ingress/routing.ts'
import { serverChanges } from '../../../agent/ingress/server-changes.ts'
import { workerCommand } from '../../../agent/ingress/haproxy-syntax.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import type { EndpointSlice } from '../../../proto/gen/types.ts'

const ends = fc.constantFrom(
  '',
  '',
  '',
  '\nv0|/ other.secret.80',
  ' other.secret.80',
  ';shutdown',
  "'",
  '"',
  '#',
  '\\',
  '%[env(HOME)]',
  '}',
  '\r',
  '\0',
  '\u2028',
)
const hostile = (good: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    fc.tuple(good, ends).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  )
const host = hostile(fc.constantFrom('a.example', '*.example', '*'))
const path = hostile(fc.constantFrom('/', '/a', '/a/b'))
const name = hostile(fc.constantFrom('x-one', 'x-two'))
const value = hostile(fc.constantFrom('1', 'some words', '100%'))
const address = hostile(fc.oneof(fc.ipV4(), fc.ipV6()))

const BIND = { addresses: ['*'], account: undefined, nameServers: ['169.254.20.10:53'], directory: '/run/entrance' }
const KEYWORDS =
  'acl|balance|bind|default-path|default_backend|fd-hard-limit|group|hard-stop-after|hash-type|hold|http-after-response|http-request|http-response|http-reuse|mode|nameserver|option|resolve_retries|retries|retry-on|server|ssl-default-bind-options|timeout|use_backend|user'
const LINE = new RegExp(`^(global|defaults|resolvers names|frontend p80|backend [\\w.=-]+|  (${KEYWORDS}) [^\\n]*)$`)

function outcome<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (thrown) {
    assert.ok(GantryError.is(thrown, 'InvalidArgument'), String(thrown))
    return undefined
  }
}

describe("the proxy's text", () => {
  it('has, whatever rules say, as many lines as are meant, each of which begins as is meant', () => {
    fc.assert(
      fc.property(host, path, name, value, address, (pattern, prefix, header, text, endpoint) => {
        const condition = { ...MATCH_ALL, headers: [{ type: 'Exact' as const, name: header, value: text }] }
        const rule = {
          host: pattern,
          path: { type: 'prefix' as const, value: prefix },
          condition,
          shares: [{ backend: 'default.web.80', weight: 1 }],
          fallback: false,
          order: [],
          owner: 'HTTPRoute/default/web',
        }
        const treatment = {
          ...NO_FILTERS,
          requestHeaders: [{ set: [{ name: header, value: text }] }],
          rewrite: { hostname: text, path: { full: prefix } },
        }
        const model: ProxyModel = {
          ports: [{ port: 80, certificates: undefined, hosts: virtualHosts([rule], []), owners: [] }],
          backends: new Map([
            [
              'default.web.80',
              {
                name: 'default.web.80',
                destination: {
                  is: 'endpoints',
                  service: 'default/web',
                  protocol: 'http1',
                  sticky: false,
                  endpoints: [{ address: endpoint, port: 80 }],
                },
                treatment,
                owner: '',
              },
            ],
          ]),
          services: new Set(),
          problems: [],
        }
        const files = outcome(() => renderHaproxyConfig(model, BIND).files)
        if (files === undefined) return
        for (const line of files.get('haproxy.cfg')!.split('\n').slice(0, -1)) assert.match(line, LINE)
        for (const kind of ['hosts', 'wildcards', 'exact', 'prefixes']) {
          for (const line of files.get(`p80.${kind}`)!.split('\n').slice(0, -1))
            assert.match(line, /^[\x21\x22\x24-\x7e][\x21-\x7e]* (v\d+|=[sw]\d+|answer\.404|default\.web\.80)$/)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('leaves out endpoints that are no addresses, and has one command for each of the others', () => {
    fc.assert(
      fc.property(fc.array(address, { maxLength: 5 }), (addresses) => {
        const slice = {
          addressType: 'IPv4',
          metadata: {},
          endpoints: [...addresses, '10.1.0.2'].map((one) => ({ addresses: [one] })),
          ports: [{ name: '', protocol: 'TCP', port: 80 }],
        } as unknown as EndpointSlice
        const endpoints = endpointsOf([slice], {})
        assert.ok(endpoints.some((endpoint) => endpoint.address === '10.1.0.2'))
        const servers = endpoints.map((_, index) => ({
          backend: 'default.web.80',
          name: `s${index + 1}`,
          address: '127.0.0.1',
          port: 9,
          enabled: false,
        }))
        const { addressChanges: moves, commands } = serverChanges(servers, new Map([['default.web.80', endpoints]]))
        for (const one of [...moves, ...commands])
          assert.match(workerCommand(one), /^set server default\.web\.80\/s\d+ (addr [\d.]+ port 80|state ready)$/)
        assert.equal(moves.length, endpoints.length)
      }),
      { numRuns: 300 },
    )
  })

  it('refuses what would be two commands before it sends any', async () => {
    const socket = new MasterSocket('/nonexistent', new FakeClock())
    for (const bad of [
      'set server a/s1 addr 10.0.0.1;shutdown port 80',
      'set server a/s1 addr 10.0.0.1\nshutdown',
      'x @1',
      'x <<',
    ]) {
      await assert.rejects(socket.run(1, [bad]), { code: 'InvalidArgument' })
    }
  })
})
