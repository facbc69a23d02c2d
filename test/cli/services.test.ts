import assert from 'node:assert/strict'
import type { JsonObject, Service } from '../../proto/gen/types.ts'
import { Console } from './console.ts'
import { deployment, pod } from './objects.ts'

const CREATED = { creationTimestamp: '2026-01-01T00:00:00Z' }

function service(name: string, spec: JsonObject, status: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...CREATED },
    spec: { type: 'ClusterIP', clusterIP: '10.96.7.1', clusterIPs: ['10.96.7.1'], sessionAffinity: 'None', ...spec },
    status,
  }
}

function slice(name: string, of: string, port: number, endpoints: JsonObject[]): JsonObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      labels: { 'kubernetes.io/service-name': of },
      ...CREATED,
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port, protocol: 'TCP' }],
    endpoints,
  }
}

describe('services on the command line', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  it('are listed as kubectl does', async () => {
    await console.server.put(
      service('web', {
        ports: [
          { name: 'http', port: 80, protocol: 'TCP' },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
        selector: { tier: 'front', app: 'web' },
      }),
    )
    await console.server.put(
      service('node', {
        type: 'NodePort',
        ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }],
        externalIPs: ['198.51.100.7'],
      }),
    )
    await console.server.put(
      service(
        'edge',
        { type: 'LoadBalancer', ports: [{ port: 443, nodePort: 30443, protocol: 'TCP' }] },
        { loadBalancer: { ingress: [{ ip: '192.0.2.11' }, { ip: '192.0.2.12' }] } },
      ),
    )
    await console.server.put(service('later', { type: 'LoadBalancer', ports: [{ port: 444, protocol: 'TCP' }] }))
    await console.server.put(
      service('alias', { type: 'ExternalName', externalName: 'db.example.com', clusterIP: '', clusterIPs: [] }),
    )
    await console.server.put(service('pods', { clusterIP: 'None', clusterIPs: ['None'], ports: [] }))
    const { stdout } = await console.run('get svc')
    assert.deepEqual(
      stdout.split('\n').map((line) => line.replace(/\s+/g, ' ').replace(/ \S*$/, '')),
      [
        'NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S)',
        'alias ExternalName <none> db.example.com <none>',
        'edge LoadBalancer 10.96.7.1 192.0.2.11,19... 443:30443/TCP',
        'later LoadBalancer 10.96.7.1 <pending> 444/TCP',
        'node NodePort 10.96.7.1 198.51.100.7 80:30080/TCP',
        'pods ClusterIP None <none> <none>',
        'web ClusterIP 10.96.7.1 <none> 80/TCP,53/UDP',
        '',
      ],
    )
    const wide = (await console.run('get svc -o wide')).stdout
    assert.match(wide, /edge .* 192\.0\.2\.11,192\.0\.2\.12 .* <none>\n/)
    assert.match(wide, /web .* app=web,tier=front\n/)
  })

  it('are described with the endpoints that take traffic', async () => {
    await console.server.put(
      service('web', {
        ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'web' }],
        selector: { app: 'web' },
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      }),
    )
    await console.server.put(
      slice('web-a', 'web', 8080, [
        {
          addresses: ['10.244.0.1'],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: 'p1' },
          nodeName: 'n1',
          zone: 'z1',
        },
        { addresses: ['10.244.0.2'], conditions: { ready: false, serving: true, terminating: true } },
      ]),
    )
    await console.server.put(slice('web-b', 'web', 9090, [{ addresses: ['10.244.0.3'] }]))
    await console.server.put(slice('other-a', 'other', 1, [{ addresses: ['10.244.9.9'] }]))
    const { stdout } = await console.run('describe svc web')
    assert.match(stdout, /^Selector: +app=web\nType: +ClusterIP\nIP: +10\.96\.7\.1\n/m)
    assert.match(
      stdout,
      /^Port: +http {2}80\/TCP\nTargetPort: +web\/TCP\nEndpoints: +10\.244\.0\.1:8080,10\.244\.0\.3:9090\nSession Affinity: +ClientIP \(60s\)\n/m,
    )
    const slices = (await console.run('get endpointslices')).stdout
    assert.match(slices, /^NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE$/m)
    assert.match(slices, /^web-a +IPv4 +8080 +10\.244\.0\.1,10\.244\.0\.2 /m)
    const page = (await console.run('describe endpointslice web-a')).stdout
    assert.match(page, /AddressType: +IPv4/)
    assert.match(
      page,
      /10\.244\.0\.1:\n +Conditions: +ready true, serving <unset>, terminating <unset>\n +TargetRef: +Pod\/p1\n +NodeName: +n1\n +Zone: +z1/,
    )
  })

  it('are described with why pods are no endpoints', async () => {
    const named = (name: string): JsonObject => ({
      containers: [{ name: 'main', image: 'busybox', ports: [{ name, containerPort: 8080 }] }],
    })
    const ports = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'htpp' }]
    await console.server.put(pod('web-1', { spec: named('http') }))
    await console.server.put(pod('web-2', { spec: named('http') }))
    await console.server.put(
      pod('late-1', {
        labels: { app: 'late' },
        spec: named('htpp'),
        status: { phase: 'Running', podIP: '10.1.0.6', conditions: [{ type: 'Ready', status: 'False' }] },
      }),
    )
    await console.server.put(
      pod('late-2', { labels: { app: 'late' }, spec: named('htpp'), status: { phase: 'Pending' } }),
    )
    await console.server.put(
      pod('late-3', {
        labels: { app: 'late' },
        spec: named('htpp'),
        status: { phase: 'Succeeded', podIP: '10.1.0.7' },
      }),
    )
    await console.server.put(pod('late-4', { labels: { app: 'late' }, spec: named('htpp') }))
    await console.server.put(service('typo', { ports, selector: { app: 'web' } }))
    await console.server.put(service('nobody', { ports, selector: { app: 'wbe' } }))
    await console.server.put(service('other', { ports, selector: { team: 'a' } }))
    await console.server.put(service('manual', { ports }))
    await console.server.put(service('late', { ports, selector: { app: 'late' } }))
    const lines = async (name: string): Promise<string[]> =>
      (await console.run(`describe svc ${name}`)).stdout
        .split('\n')
        .filter((line) => /^(Endpoints|Left Out):/.test(line))
        .map((line) => line.replace(/\s+/g, ' '))
    assert.deepEqual(await lines('typo'), [
      'Endpoints: <none>',
      'Left Out: 2 of 2 pods without a TCP port named "htpp", did you mean "http"? (web-1, web-2)',
    ])
    assert.deepEqual(await lines('nobody'), [
      'Endpoints: <none>',
      'Left Out: no pod has the labels app=wbe; 2 pods have app=web',
    ])
    assert.deepEqual(await lines('other'), ['Endpoints: <none>', 'Left Out: no pod has the labels team=a'])
    assert.deepEqual(await lines('manual'), [
      'Endpoints: <none>',
      'Left Out: without a selector it has the endpoints of EndpointSlices with the label kubernetes.io/service-name=manual, or of Endpoints of its name, and there is none',
    ])
    await console.server.put(service('names', { clusterIP: 'None', ports: [], selector: { app: 'late' } }))
    await console.server.put(
      slice('names-1', 'names', 1, [
        { addresses: ['10.1.0.5'], conditions: { ready: true } },
        { addresses: ['10.1.0.6'], conditions: { ready: false } },
      ]),
    )
    assert.deepEqual((await lines('names'))[0], 'Endpoints: 10.1.0.5')
    assert.deepEqual(await lines('late'), [
      'Endpoints: <none>',
      'Left Out: 1 of 4 pods not ready (late-1); 1 of 4 pods not running yet (late-2); 1 of 4 pods ended (late-3)',
    ])
  })

  it('have Endpoints, too, which are listed and described as by kubectl', async () => {
    await console.server.put({
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'web', namespace: 'default', uid: 'uid-web', ...CREATED },
      subsets: [
        {
          addresses: ['10.1.0.1', '10.1.0.2', '10.1.0.3', 'fd00::1'].map((ip) => ({ ip })),
          notReadyAddresses: [{ ip: '10.1.0.9' }],
          ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        },
      ],
    })
    await console.server.put({
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'none', namespace: 'default', uid: 'uid-none', ...CREATED },
    })
    const { stdout } = await console.run('get ep')
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/\s{2,}/g, '  ').replace(/  \S+$/, '')),
      ['NAME  ENDPOINTS', 'none  <none>', 'web  10.1.0.1:8080,10.1.0.2:8080,10.1.0.3:8080 + 1 more...'],
    )
    const described = (await console.run('describe endpoints web')).stdout
    assert.match(
      described,
      /Subsets:\n +Addresses: +10\.1\.0\.1,10\.1\.0\.2,10\.1\.0\.3,fd00::1\n +NotReadyAddresses: +10\.1\.0\.9\n +Ports:\n +Name +Port +Protocol\n[ -]+\n +http +8080 +TCP\n/,
    )
    assert.match((await console.run('describe ep none')).stdout, /Subsets: +<none>\n/)
  })

  it('have no kinds of routes that are not served', async () => {
    assert.match((await console.run('get grpcroutes')).stderr, /^error: GRPCRoute: .*; an HTTPRoute serves gRPC, too/)
  })

  it('are made from flags', async () => {
    assert.equal((await console.run('create service clusterip web --tcp=80:8080,443')).stdout, 'service/web created\n')
    assert.deepEqual(
      console.server
        .get<Service>('Service', 'web')
        ?.spec.ports?.map(({ name, port, targetPort }) => [name, port, targetPort]),
      [
        ['80-8080', 80, 8080],
        ['443', 443, 443],
      ],
    )
    assert.deepEqual(console.server.get<Service>('Service', 'web')?.spec.selector, { app: 'web' })
    assert.equal((await console.run('create svc nodeport node --tcp=80:http --node-port=30123')).exit, 0)
    assert.deepEqual(
      console.server
        .get<Service>('Service', 'node')
        ?.spec.ports?.map(({ targetPort, nodePort }) => [targetPort, nodePort]),
      [['http', 30123]],
    )
    assert.equal((await console.run('create service externalname db --external-name=db.example.com')).exit, 0)
    assert.equal(console.server.get<Service>('Service', 'db')?.spec.type, 'ExternalName')
    assert.deepEqual(
      [
        (await console.run('create service clusterip x')).exit,
        (await console.run('create service clusterip x --tcp=a')).stderr,
      ],
      [2, 'error: --tcp="a" is not PORT or PORT:TARGET; such as 80 or 80:8080 or 80:http\n'],
    )
  })

  it('are made for workloads', async () => {
    await console.server.put(deployment('web'))
    const { stdout } = await console.run('expose deploy/web --port=80 --target-port=http --type=NodePort --name=front')
    assert.equal(stdout, 'service/front exposed\n')
    const front = console.server.get<Service>('Service', 'front')!
    assert.deepEqual(
      [
        front.spec.type,
        front.spec.selector,
        front.spec.ports?.map(({ port, targetPort, protocol }) => [port, targetPort, protocol]),
      ],
      ['NodePort', { app: 'web' }, [[80, 'http', 'TCP']]],
    )
    await console.server.put(
      pod('db', {
        labels: { app: 'db' },
        spec: {
          containers: [
            { name: 'c', image: 'i', ports: [{ containerPort: 5432 }, { containerPort: 9000, name: 'metrics' }] },
          ],
        },
      }),
    )
    assert.equal((await console.run('expose pod db --name=database')).exit, 0)
    assert.deepEqual(
      console.server.get<Service>('Service', 'database')?.spec.ports?.map(({ name, port }) => [name, port]),
      [
        ['port-1', 5432],
        ['metrics', 9000],
      ],
    )
    await console.server.put(pod('bare', { labels: {} }))
    assert.match(
      (await console.run('expose pod bare --port=80')).stderr,
      /has no labels by which its pods could be found; give --selector/,
    )
    assert.equal((await console.run('expose deploy/nope --port=80')).exit, 3)
    assert.match((await console.run('expose deploy/web')).stderr, /which port\? Say --port=PORT/)
    assert.match((await console.run('expose deploy/web --port=80 --dry-run=client -o yaml')).stdout, /kind: Service/)
    assert.equal(console.server.get('Service', 'web'), undefined)
  })
})
