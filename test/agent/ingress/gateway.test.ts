import assert from 'node:assert/strict'
import { createAuthority, issue } from '../../../deploy/ca.ts'
import { IngressFixture, type Answer, type RequestOptions } from './ingress-fixture.ts'
import { service, slice, tlsSecret } from './objects.ts'

describe('ingress proxy, with haproxy: Gateways', function () {
  this.timeout(60_000)
  let lab: IngressFixture
  beforeEach(async () => {
    lab = await IngressFixture.open()
    for (const name of ['one', 'two', 'three']) {
      const pod = await lab.pod(name)
      lab.view.put(service(name), slice(name, ['127.0.0.1'], pod.port))
    }
    lab.view.put(service('none'), slice('none', [], 1))
  })
  afterEach(() => lab.close())

  const gateway = (): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: gantry
  listeners:
  - { name: web, port: ${lab.further[0]}, protocol: HTTP }
---
`
  const route = (name: string, rules: string, more = ''): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: edge }]
  ${more}
  rules:
${rules}
---
`
  const ask = (path: string, options: RequestOptions = {}): Promise<Answer> =>
    lab.request(path, { port: lab.further[0]!, ...options })
  const podOf = async (path: string, options: RequestOptions = {}): Promise<string | number> => {
    const { seen, status } = await ask(path, options)
    return seen?.pod ?? status
  }

  it('matches paths, headers, query and method by precedence', async () => {
    await lab.apply(
      gateway() +
        route(
          'r',
          `
  - { matches: [{ path: { type: PathPrefix, value: /a } }], backendRefs: [{ name: one, port: 80 }] }
  - { matches: [{ path: { type: PathPrefix, value: /a }, headers: [{ name: X-Kind, value: "it's } %[x] \\"y\\"" }] }], backendRefs: [{ name: two, port: 80 }] }
  - { matches: [{ path: { type: Exact, value: /a/b } }], backendRefs: [{ name: three, port: 80 }] }
  - { matches: [{ method: DELETE }], backendRefs: [{ name: two, port: 80 }] }
  - { matches: [{ queryParams: [{ name: v, value: "2 3" }] }, { headers: [{ type: RegularExpression, name: x-n, value: "[0-9]+" }] }], backendRefs: [{ name: three, port: 80 }] }
  - { matches: [{ path: { type: RegularExpression, value: "/files/.*\\\\.png" } }], backendRefs: [{ name: three, port: 80 }] }
  - { matches: [{ path: { type: PathPrefix, value: /none } }], backendRefs: [{ name: none, port: 80 }] }
  - { matches: [{ path: { type: PathPrefix, value: /gone } }], backendRefs: [{ name: gone, port: 80 }] }
`,
        ),
    )
    const got = await Promise.all([
      podOf('/a'),
      podOf('/a/x'),
      podOf('/a/b'),
      podOf('/a/b/'),
      podOf('/ab'),
      podOf('/a/x', { headers: { 'x-kind': 'it\'s } %[x] "y"' } }),
      podOf('/a/x', { headers: { 'x-kind': 'other' } }),
      podOf('/', { method: 'DELETE' }),
      podOf('/'),
      podOf('/?v=2%203'),
      podOf('/?v=2'),
      podOf('/z', { headers: { 'x-n': '42' } }),
      podOf('/z', { headers: { 'x-n': '42x' } }),
      podOf('/files/x/y.png'),
      podOf('/files/y.pngx'),
      podOf('/none'),
      podOf('/gone'),
    ])
    assert.deepEqual(got, [
      'one',
      'one',
      'three',
      'one',
      404,
      'two',
      'one',
      'two',
      404,
      'three',
      404,
      'three',
      404,
      'three',
      404,
      503,
      500,
    ])
  })

  it('changes headers, paths and hosts, and redirects', async () => {
    await lab.apply(
      gateway() +
        route(
          'r',
          `
  - matches: [{ path: { type: PathPrefix, value: /headers } }]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: { set: [{ name: X-Set, value: "100% [x] 'q'" }], add: [{ name: X-Add, value: b }], remove: [X-Gone] }
    - type: ResponseHeaderModifier
      responseHeaderModifier: { set: [{ name: X-Answer, value: "yes" }], remove: [Date] }
    backendRefs: [{ name: one, port: 80 }]
  - matches: [{ path: { type: PathPrefix, value: /old } }]
    filters: [{ type: URLRewrite, urlRewrite: { hostname: in.example.com, path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
    backendRefs: [{ name: one, port: 80 }]
  - matches: [{ path: { type: PathPrefix, value: /strip } }]
    filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]
    backendRefs: [{ name: one, port: 80 }]
  - matches: [{ path: { type: PathPrefix, value: /full } }]
    filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replaceFullPath: /all } } }]
    backendRefs: [{ name: one, port: 80 }]
  - matches: [{ path: { type: PathPrefix, value: /go } }]
    filters: [{ type: RequestRedirect, requestRedirect: { scheme: https, hostname: to.example.com, path: { type: ReplacePrefixMatch, replacePrefixMatch: /went }, statusCode: 301 } }]
  - matches: [{ path: { type: PathPrefix, value: /port } }]
    filters: [{ type: RequestRedirect, requestRedirect: { port: 8443 } }]
  - matches: [{ path: { type: PathPrefix, value: /same } }]
    filters: [{ type: RequestRedirect, requestRedirect: { path: { type: ReplaceFullPath, replaceFullPath: /there } } }]
`,
        ),
    )
    const { seen, headers } = await ask('/headers', { headers: { 'x-set': 'old', 'x-add': 'a', 'x-gone': 'x' } })
    assert.deepEqual(
      [seen!.headers['x-set'], seen!.headers['x-add'], seen!.headers['x-gone'], headers['x-answer'], headers.date],
      ["100% [x] 'q'", 'a, b', undefined, 'yes', undefined],
    )
    const urls = await Promise.all(
      ['/old', '/old/', '/old/x?y=1', '/strip', '/strip/x', '/strip?z=1', '/full/x?q'].map(
        async (path) => (await ask(path)).seen!.url,
      ),
    )
    assert.deepEqual(urls, ['/new', '/new/', '/new/x?y=1', '/', '/x', '/?z=1', '/all?q'])
    assert.equal((await ask('/old')).seen!.headers.host, 'in.example.com')
    const places = await Promise.all(
      ['/go', '/go/a?b=c', '/port/x', '/same/x?q=1'].map(async (path) => {
        const {
          status,
          headers: { location },
        } = await ask(path, { host: 'from.example.com' })
        return `${status} ${location}`
      }),
    )
    assert.deepEqual(places, [
      '301 https://to.example.com/went',
      '301 https://to.example.com/went/a?b=c',
      '302 http://from.example.com:8443/port/x',
      `302 http://from.example.com:${lab.further[0]}/there?q=1`,
    ])
  })

  it('shares requests out by weight', async () => {
    await lab.apply(
      gateway() +
        route(
          'r',
          `
  - { backendRefs: [{ name: one, port: 80, weight: 9 }, { name: two, port: 80, weight: 1 }, { name: three, port: 80, weight: 0 }] }
`,
        ),
    )
    const counts: Record<string, number> = { one: 0, two: 0, three: 0 }
    for (let round = 0; round < 20; round++)
      for (const name of await Promise.all(Array.from({ length: 50 }, () => podOf('/')))) counts[name]!++
    assert.equal(counts.three, 0)
    // Of 1000 requests 100 are expected at the second; a deviation of 5σ (47) is one in millions.
    assert(counts.two! > 53 && counts.two! < 147, JSON.stringify(counts))
    assert.equal(counts.one! + counts.two!, 1000)
  })

  it('keeps listeners, hostnames and namespaces apart, and shows each its certificate', async () => {
    const authority = await createAuthority('test', Date.now())
    const certificate = (host: string) => issue(authority, { commonName: host, hosts: [host] }, Date.now())
    await lab.apply(
      tlsSecret('a', await certificate('a.example.com')),
      tlsSecret('wild', await certificate('*.wild.example.com')),
      `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: gantry
  listeners:
  - { name: a, port: ${lab.further[1]}, protocol: HTTPS, hostname: a.example.com, tls: { certificateRefs: [{ name: a }] } }
  - { name: wild, port: ${lab.further[1]}, protocol: HTTPS, hostname: "*.wild.example.com", tls: { certificateRefs: [{ name: wild }] }, allowedRoutes: { namespaces: { from: All } } }
  - { name: broken, port: ${lab.further[2]}, protocol: HTTPS, tls: { certificateRefs: [{ name: missing }] } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: a }
spec: { parentRefs: [{ name: edge, sectionName: a }], rules: [{ backendRefs: [{ name: one, port: 80 }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: far, namespace: far }
spec: { parentRefs: [{ name: edge, namespace: default }], hostnames: ["x.wild.example.com", "a.example.com"], rules: [{ backendRefs: [{ name: two, namespace: default, port: 80 }] }] }
`,
    )
    const at = (host: string): Promise<string | number> => podOf('/', { host, tls: true, port: lab.further[1]! })
    assert.deepEqual(
      await Promise.all([at('a.example.com'), at('x.wild.example.com'), at('y.wild.example.com'), at('b.example.com')]),
      ['one', 500, 404, 404],
    )
    await lab.apply(`
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: { name: far }
spec: { from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: far }], to: [{ group: "", kind: Service, name: two }] }
`)
    assert.equal(await at('x.wild.example.com'), 'two')
    assert.deepEqual(
      await Promise.all(['a.example.com', 'z.wild.example.com'].map((host) => shownName(lab.further[1]!, host))),
      ['a.example.com', '*.wild.example.com'],
    )
    await assert.rejects(lab.request('/', { port: lab.further[2]!, tls: true }), /ECONNREFUSED/)
  })

  it('takes routes of the namespaces that a listener selects by their labels', async () => {
    const namespace = (name: string, team: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: { team: ${team} } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: r, namespace: ${name} }
spec: { parentRefs: [{ name: edge, namespace: default }], hostnames: [${name}.example.com], rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { hostname: ${name}.example.org, statusCode: 302 } }] }] }
---`
    await lab.apply(`${namespace('near', 'web')}${namespace('far', 'other')}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: gantry
  listeners: [{ name: web, port: ${lab.further[1]}, protocol: HTTP, allowedRoutes: { namespaces: { from: Selector, selector: { matchLabels: { team: web } } } } }]
`)
    assert.deepEqual(
      await Promise.all(
        ['near', 'far'].map(
          async (host) => (await lab.request('/', { host: `${host}.example.com`, port: lab.further[1]! })).status,
        ),
      ),
      [302, 404],
    )
  })

  it('ends requests that take longer than they may', async () => {
    const slow = await lab.pod('slow', '127.0.0.1', 0, () => undefined)
    await lab.apply(
      service('slow'),
      slice('slow', ['127.0.0.1'], slow.port),
      gateway() +
        route(
          'r',
          `
  - { backendRefs: [{ name: slow, port: 80 }], timeouts: { request: 200ms } }
`,
        ),
    )
    assert.equal((await ask('/')).status, 504)
  })
})

async function shownName(port: number, servername: string): Promise<string> {
  const { connect } = await import('node:tls')
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
