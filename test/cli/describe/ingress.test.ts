import assert from 'node:assert/strict'
import type { JsonObject } from '../../../proto/gen/types.ts'
import { Console } from '../console.ts'

const CREATED = { creationTimestamp: '2026-01-01T00:00:00Z' }

function ingress(name: string, className?: string): JsonObject {
  const backend = (service: string, port: JsonObject): JsonObject => ({ service: { name: service, port } })
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...CREATED },
    status: { loadBalancer: {} },
    spec: {
      ...(className !== undefined && { ingressClassName: className }),
      defaultBackend: backend('alias', { number: 80 }),
      rules: [
        {
          host: 'a.example.com',
          http: {
            paths: [
              ['/', 'web', { name: 'http' }],
              ['/none', 'none', { number: 80 }],
              ['/port', 'web', { name: 'htp' }],
              ['/idle', 'idle', { number: 80 }],
            ].map(([path, service, port]) => ({
              path,
              pathType: 'Prefix',
              backend: backend(service as string, port as JsonObject),
            })),
          },
        },
      ],
    },
  } as JsonObject
}

function service(name: string, spec: JsonObject): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...CREATED },
    spec: { type: 'ClusterIP', sessionAffinity: 'None', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
    status: {},
  }
}

describe('an Ingress in a description', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
    for (const [name, controller] of [
      ['gantry', 'gantry.dev/entrance'],
      ['other', 'example.com/proxy'],
    ])
      await console.server.put({
        apiVersion: 'networking.k8s.io/v1',
        kind: 'IngressClass',
        metadata: { name: name!, uid: `uid-${name}`, ...CREATED },
        spec: { controller: controller! },
      })
    await console.server.put(service('web', {}))
    await console.server.put(service('idle', {}))
    await console.server.put(service('alias', { type: 'ExternalName', externalName: 'web.example.com' }))
    await console.server.put({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' }, ...CREATED },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: ['10.244.0.1', '10.244.0.2'].map((address) => ({ addresses: [address], conditions: { ready: true } })),
    })
  })

  afterEach(() => console.close())

  it('tells what is behind each path, or why nothing is', async () => {
    await console.server.put(ingress('shop'))
    const { stdout } = await console.run('describe ingress shop')
    assert.match(stdout, /^Ingress Class: +<default>$/m)
    assert.match(stdout, /^Default Backend: +alias:80 \(web\.example\.com\)$/m)
    assert.deepEqual(
      stdout
        .split('\n')
        .filter((line) => line.includes(' Prefix '))
        .map((line) => line.replace(/\s+/g, ' ')),
      [
        ' a.example.com / Prefix web:http (10.244.0.1:8080,10.244.0.2:8080)',
        ' a.example.com /none Prefix none:80 (there is no Service none)',
        ' a.example.com /port Prefix web:htp (Service web has no port htp; it has http)',
        ' a.example.com /idle Prefix idle:80 (no endpoints: see `gantry describe svc idle`)',
      ],
    )
  })

  it('tells why nobody serves it', async () => {
    await console.server.put(ingress('elsewhere', 'nginx'))
    await console.server.put(ingress('others', 'other'))
    assert.match(
      (await console.run('describe ingress elsewhere')).stdout,
      /^Ingress Class: +nginx \(not served here: there is no IngressClass nginx, only gantry, other\)$/m,
    )
    assert.match(
      (await console.run('describe ingress others')).stdout,
      /^Ingress Class: +other \(not served here: IngressClass other is for the controller example\.com\/proxy\)$/m,
    )
  })

  it('tells where it is reached, or that there is no ingress node', async () => {
    await console.server.put(ingress('shop'))
    const address = async (): Promise<string> =>
      /^Address: +(.*)$/m.exec((await console.run('describe ingress shop')).stdout)![1]!
    assert.equal(
      await address(),
      '<none> (No node is an entrance: gantry label node NODE gantry.dev/entrance=true makes one)',
    )
    await console.server.put({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', uid: 'uid-n1', labels: { 'gantry.dev/entrance': 'true' }, ...CREATED },
      spec: {},
      status: {},
    } as JsonObject)
    assert.equal(await address(), '<none>', 'it is not ready')
  })
})
