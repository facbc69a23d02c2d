import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { IngressFixture } from './ingress-fixture.ts'
import { service, slice } from './objects.ts'

describe('ingress proxy, with haproxy', function () {
  this.timeout(60_000)
  let lab: IngressFixture
  beforeEach(async () => void (lab = await IngressFixture.open()))
  afterEach(() => lab.close())

  it('serves hosts and paths of an Ingress', async () => {
    const [web, api] = [await lab.pod('web'), await lab.pod('api')]
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], web.port),
      service('api'),
      slice('api', ['127.0.0.1'], api.port),
      `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  rules:
  - host: shop.example.com
    http:
      paths:
      - { path: /, pathType: Prefix, backend: { service: { name: web, port: { name: http } } } }
      - { path: /api, pathType: Prefix, backend: { service: { name: api, port: { number: 80 } } } }
      - { path: /gone, pathType: Exact, backend: { service: { name: gone, port: { number: 80 } } } }
  - host: "*.wild.example.com"
    http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: api, port: { number: 80 } } } }] }
`,
    )
    const podOf = async (host: string, path: string): Promise<string | number> => {
      const { seen, status } = await lab.request(path, { host })
      return seen?.pod ?? status
    }
    assert.deepEqual(
      await Promise.all([
        podOf('shop.example.com', '/'),
        podOf('SHOP.example.com:80', '/x?y=1'),
        podOf('shop.example.com', '/api'),
        podOf('shop.example.com', '/api/v1'),
        podOf('shop.example.com', '/apis'),
        podOf('shop.example.com', '/gone'),
        podOf('other.example.com', '/'),
        podOf('a.wild.example.com', '/'),
        podOf('a.b.wild.example.com', '/'),
        podOf('wild.example.com', '/'),
      ]),
      ['web', 'web', 'api', 'api', 'web', 503, 404, 'api', 404, 404],
    )
    const { seen } = await lab.request('/path?query=1', {
      host: 'shop.example.com',
      headers: { 'x-forwarded-for': '1.2.3.4', 'x-forwarded-user': 'me' },
    })
    const {
      'x-forwarded-for': from,
      'x-forwarded-proto': proto,
      'x-forwarded-host': host,
      'x-forwarded-user': user,
    } = seen!.headers
    assert.deepEqual(
      [seen!.url, from, proto, host, user],
      ['/path?query=1', '127.0.0.1', 'http', 'shop.example.com', undefined],
    )
    assert.deepEqual(
      lab.problems.map(({ kind, name, reason }) => [kind, name, reason]),
      [['Ingress', 'shop', 'ServiceNotFound']],
    )
  })

  it('waits for a haproxy that says late who it is', async () => {
    const web = await lab.pod('web')
    const pidFile = join(lab.directory, 'pid')
    let late = false
    lab.run = async (program, words, options) => {
      const done = await run(program, words, options)
      if (!words.includes('-D')) return done
      renameSync(pidFile, `${pidFile}.late`)
      systemClock.after(100, () => {
        late = true
        renameSync(`${pidFile}.late`, pidFile)
      })
      return done
    }
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], web.port),
      `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  defaultBackend: { service: { name: web, port: { number: 80 } } }
`,
    )
    assert.deepEqual([late, (await lab.request('/')).seen?.pod, lab.problems], [true, 'web', []])
  })

  it('tells of annotations that ask for what it does not do', async () => {
    const web = await lab.pod('web')
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], web.port),
      `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations:
    nginx.ingress.kubernetes.io/rewrite-target: /
    nginx.ingress.kubernetes.io/ssl-redirect: "false"
    gantry.dev/ssl-redirct: "false"
    gantry.dev/response-timeout: 5s
    cert-manager.io/issuer: mine
spec:
  defaultBackend: { service: { name: web, port: { number: 80 } } }
`,
    )
    assert.equal((await lab.request('/')).seen?.pod, 'web')
    assert.deepEqual(
      lab.problems.map(({ reason, message }) => [reason, message.split(' is not acted on')[0]]),
      [
        ['AnnotationIgnored', 'gantry.dev/ssl-redirct'],
        ['AnnotationIgnored', 'nginx.ingress.kubernetes.io/rewrite-target'],
      ],
    )
  })

  it('tells of a LoadBalancer that has its port', async () => {
    const web = await lab.pod('web')
    await lab.apply(
      service('web'),
      slice('web', ['127.0.0.1'], web.port),
      `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  defaultBackend: { service: { name: web, port: { number: 80 } } }
`,
    )
    const balancer = (name: string, port: number, status: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { type: LoadBalancer, ports: [{ port: ${port}, protocol: TCP }] }
status: ${status}
`
    const reached = '{ loadBalancer: { ingress: [{ ip: 192.0.2.1 }] } }'
    await lab.apply(balancer('pending', lab.https, '{ loadBalancer: {} }'), balancer('other', lab.https + 1, reached))
    assert.equal(lab.problems.length, 0)
    await lab.apply(balancer('edge', lab.https, reached))
    assert.deepEqual(
      lab.problems.map(({ name, reason, message }) => [name, reason, message.split(',')[0]]),
      [['shop', 'PortTaken', `port ${lab.https} leads to Service default/edge of type LoadBalancer`]],
    )
  })
})
