import assert from 'node:assert/strict'
import { attach, listenerConflict, listenerProblem, portProtocols } from '../../../proto/objects/ingress/attachment.ts'
import { ingressNodes, servesIngress } from '../../../proto/objects/ingress/classes.ts'
import { parseGatewayDuration } from '../../../proto/objects/ingress/duration.ts'
import { isGranted } from '../../../proto/objects/ingress/grants.ts'
import { commonHostname } from '../../../proto/objects/ingress/hostnames.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { parseManifests } from '../../../proto/codec/manifest.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type {
  AnyResource,
  Gateway,
  HTTPRoute,
  Ingress,
  IngressClass,
  ReferenceGrant,
} from '../../../proto/gen/types.ts'

function read<T extends AnyResource>(yaml: string, namespace = 'default'): T {
  const { object } = parseManifests(yaml, 'x.yaml')[0]!
  const whole = applyDefaults(structuredClone(object))
  whole.metadata.namespace = namespace
  return whole as T
}

/** The places that are wrong, and how. */
const flaws = (yaml: string): string[] => validate(read(yaml)).map(({ field, message }) => `${field}: ${message}`)

const ingress = (spec: string): string =>
  `{ apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: { name: i }, spec: ${spec} }`
const gateway = (listeners: string): string =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: g }, spec: { gatewayClassName: gantry, listeners: [${listeners}] } }`
const route = (spec: string): string =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: r }, spec: ${spec} }`
const BACKEND = 'backend: { service: { name: web, port: { number: 80 } } }'

describe('what an ingress node serves', () => {
  const hostnames: [string | undefined, string | undefined, string | undefined][] = [
    [undefined, undefined, '*'],
    ['a.x', undefined, 'a.x'],
    [undefined, '*.x', '*.x'],
    ['*.x', 'a.x', 'a.x'],
    ['a.x', '*.x', 'a.x'],
    ['*.x', 'b.a.x', 'b.a.x'],
    ['*.x', '*.a.x', '*.a.x'],
    ['*.x', 'x', undefined],
    ['a.x', 'b.x', undefined],
    ['*.a.x', '*.b.x', undefined],
    ['A.x', 'a.X', 'a.x'],
  ]
  for (const [one, other, common] of hostnames)
    it(`${one} and ${other} have ${common} in common`, () => assert.equal(commonHostname(one, other), common))

  for (const [text, millis] of [
    ['10s', 10_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['0s', 0],
    ['1m1ms', 60_001],
    ['10', undefined],
    ['1d', undefined],
    ['', undefined],
    ['100000s', undefined],
  ] as const) {
    it(`takes "${text}" for ${millis} ms`, () => assert.equal(parseGatewayDuration(text), millis))
  }

  it('finds the class of an Ingress', () => {
    const make = (name: string, controller: string, isDefault = false): IngressClass => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: {
        name,
        namespace: '',
        uid: '',
        resourceVersion: '',
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...(isDefault ? { annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } } : {}),
      },
      spec: { controller },
    })
    const own = make('gantry', 'gantry.dev/entrance')
    const other = make('other', 'example.com/other')
    const named = (name: string): Ingress =>
      read(ingress(`{ ingressClassName: ${name}, defaultBackend: { service: { name: web, port: { number: 80 } } } }`))
    const unnamed = read<Ingress>(ingress(`{ defaultBackend: { service: { name: web, port: { number: 80 } } } }`))
    assert.deepEqual(
      [
        servesIngress(named('gantry'), [own]),
        servesIngress(named('other'), [own, other]),
        servesIngress(named('gone'), [own]),
      ],
      [true, false, false],
    )
    assert.deepEqual(
      [
        servesIngress(unnamed, [own, other]),
        servesIngress(unnamed, []),
        servesIngress(unnamed, [own, { ...other, metadata: make('other', '', true).metadata }]),
      ],
      [true, false, false],
    )
  })

  it('takes the labelled nodes, and no others', () => {
    const node = (name: string, label?: string) => ({
      metadata: {
        name,
        namespace: '',
        uid: '',
        resourceVersion: '',
        ...(label === undefined ? {} : { labels: { 'gantry.dev/entrance': label } }),
      },
    })
    assert.equal(ingressNodes([node('a'), node('b')]).length, 0)
    assert.deepEqual(
      ingressNodes([node('a'), node('b', 'true'), node('c', 'false')]).map(({ metadata }) => metadata.name),
      ['b'],
    )
  })

  it('asks for a grant across namespaces', () => {
    const grant = read<ReferenceGrant>(
      '{ apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: { name: g }, spec: { from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: far }], to: [{ kind: Service, name: web }] } }',
    )
    const asked = (namespace: string, name: string) =>
      isGranted({ from: { kind: 'HTTPRoute', namespace }, to: { kind: 'Service', namespace: 'default', name } }, [
        grant,
      ])
    assert.deepEqual(
      [asked('far', 'web'), asked('far', 'api'), asked('near', 'web'), asked('default', 'api')],
      [true, false, false, true],
    )
  })

  it('attaches routes to listeners by name, port, namespace and hostname', () => {
    const edge = read<Gateway>(
      gateway(
        '{ name: a, port: 80, protocol: HTTP, hostname: a.x }, { name: all, port: 81, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector, selector: { matchLabels: { team: web } } } } }',
      ),
    )
    const to = (parent: string, more = '', namespace = 'default') => {
      const object = read<HTTPRoute>(
        route(`{ parentRefs: [{ name: g, namespace: default ${parent} }] ${more} }`),
        namespace,
      )
      const found = attach(object, object.spec.parentRefs![0]!, edge, (name) =>
        name === 'web' ? { team: 'web' } : { team: 'none' },
      )
      return 'reason' in found
        ? found.reason
        : found.map(({ listener, hostnames }) => `${listener.name}: ${hostnames.join()}`)
    }
    assert.deepEqual(to(''), ['a: a.x'])
    assert.deepEqual(to('', ', hostnames: [b.x]', 'web'), ['all: b.x'])
    assert.equal(to('', ', hostnames: [b.x]'), 'NoMatchingListenerHostname')
    assert.equal(to(', sectionName: all'), 'NotAllowedByListeners')
    assert.equal(to(', sectionName: none'), 'NoMatchingParent')
    assert.equal(to(', port: 82'), 'NoMatchingParent')
  })

  it('leaves ports that machines need to them', () => {
    const problem = (port: number): string | undefined =>
      listenerProblem(read<Gateway>(gateway(`{ name: a, port: ${port}, protocol: HTTP }`)).spec.listeners[0]!)?.reason
    assert.deepEqual([22, 53, 2379, 6443, 7443].map(problem), Array<string>(5).fill('PortUnavailable'))
    assert.deepEqual([80, 8088, 8472].map(problem), [undefined, undefined, undefined])
  })

  it('gives a port to the first protocol that asks for it', () => {
    const edge = read<Gateway>(
      gateway(
        '{ name: a, port: 90, protocol: HTTP }, { name: b, port: 90, protocol: HTTPS, hostname: b.x, tls: { certificateRefs: [{ name: c }] } }, { name: c, port: 80, protocol: HTTPS, tls: { certificateRefs: [{ name: c }] } }',
      ),
    )
    const protocols = portProtocols([edge], new Map([[80, 'HTTP']]))
    assert.deepEqual(
      edge.spec.listeners.map((listener) => listenerConflict(listener, protocols)?.reason),
      [undefined, 'ProtocolConflict', 'ProtocolConflict'],
    )
  })
})

describe('validation of what an ingress node serves', () => {
  const wrong: [string, string[]][] = [
    [ingress('{}'), ['spec: has neither rules nor a defaultBackend']],
    [
      ingress(`{ rules: [{ host: 10.0.0.1, http: { paths: [{ path: a, pathType: Prefix, ${BACKEND} }] } }] }`),
      ['spec.rules[0].host: is an address', 'spec.rules[0].http.paths[0].path: is not an absolute path'],
    ],
    [
      ingress(`{ rules: [{ host: "a.*.x", http: { paths: [{ pathType: Exact, ${BACKEND} }] } }] }`),
      ['spec.rules[0].host: has a "*" in the wrong place', 'spec.rules[0].http.paths[0].path: is not an absolute path'],
    ],
    [
      ingress(
        `{ rules: [{ http: { paths: [{ path: "/a/../b", pathType: Prefix, backend: { service: { name: web, port: { name: a, number: 1 } } } }] } }] }`,
      ),
      [
        'spec.rules[0].http.paths[0].path: contains "/../"',
        'spec.rules[0].http.paths[0].backend: has name and number, only one is allowed',
      ],
    ],
    [
      gateway(
        '{ name: a, port: 80, protocol: HTTP, tls: {} }, { name: b, port: 80, protocol: HTTP }, { name: c, port: 443, protocol: HTTPS }',
      ),
      [
        'spec.listeners[0].tls: is not allowed with protocol HTTP',
        'spec.listeners[1]: has the same port, protocol and hostname as another listener',
        'spec.listeners[2].tls.certificateRefs: is required',
      ],
    ],
    [
      route(
        '{ rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 307 } }], backendRefs: [{ name: web, port: 80 }] }] }',
      ),
      [
        'spec.rules[0].filters[0].requestRedirect.statusCode: is not allowed',
        'spec.rules[0].backendRefs: cannot stand beside the filter RequestRedirect',
      ],
    ],
    [
      route(
        '{ rules: [{ matches: [{ path: { type: Exact, value: /a } }], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /b } } }], backendRefs: [{ name: web }], timeouts: { request: 1s, backendRequest: 2s } }] }',
      ),
      [
        'spec.rules[0].filters[0].urlRewrite.path: replaces a prefix, but a match of the rule is no PathPrefix',
        'spec.rules[0].backendRefs[0].port: is required',
        'spec.rules[0].timeouts.backendRequest: is longer than the timeout of the whole request',
      ],
    ],
    [
      route(
        '{ rules: [{ filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: "a b", value: "x\\ny" }] } }] }] }',
      ),
      [
        'spec.rules[0].filters[0].requestHeaderModifier.set[0].name: is not a name of a header',
        'spec.rules[0].filters[0].requestHeaderModifier.set[0].value: has control characters',
      ],
    ],
  ]
  for (const [yaml, expected] of wrong) it(`refuses ${expected[0]}`, () => assert.deepEqual(flaws(yaml), expected))
})
