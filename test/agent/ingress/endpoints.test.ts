import assert from 'node:assert/strict'
import http from 'node:http'
import { createServer } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, identify } from '../../../proto/base/process.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../integration/free-port.ts'
import { IngressFixture } from './ingress-fixture.ts'
import { service, slice } from './objects.ts'

const INGRESS = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec: { defaultBackend: { service: { name: web, port: { name: http } } } }
`

describe('ingress proxy, with haproxy: what changes while it serves', function () {
  this.timeout(60_000)
  let lab: IngressFixture
  const loads: { stop(): Promise<void> }[] = []
  beforeEach(async () => void (lab = await IngressFixture.open()))
  afterEach(async () => {
    // Of a test that failed: its clients would ask on, and hold up every test that comes after.
    await Promise.all(loads.splice(0).map((clients) => clients.stop()))
    await lab.close()
  })

  const masterPid = (): number => Number(readFileSync(join(lab.directory, 'pid'), 'utf8'))
  const generation = (): string => readFileSync(join(lab.directory, 'current', 'structure'), 'utf8')

  /** Pods on addresses of their own, all with one port. */
  async function podsOnOnePort(addresses: readonly string[]) {
    const port = await freePort()
    return { port, pods: await Promise.all(addresses.map((address) => lab.pod(address, address, port))) }
  }

  /**
   * Clients that ask one after the other, until told to stop: what they got that was no answer of a pod, and how many
   * answers.
   */
  function load(clients: number) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: clients })
    const failures: string[] = []
    let answers = 0
    let stopped = false
    const underWay = new Set<Promise<unknown>>()
    const ask = async (): Promise<number> => {
      const request = lab.request('/', { agent })
      underWay.add(request)
      try {
        return (await request).status
      } finally {
        underWay.delete(request)
      }
    }
    const client = async (): Promise<void> => {
      while (!stopped) {
        try {
          const status = await ask()
          if (status === 200) answers++
          else failures.push(String(status))
        } catch (thrown) {
          failures.push((thrown as Error).message)
        }
      }
    }
    const running = Array.from({ length: clients }, client)
    const generator = {
      failures,
      settled: () => Promise.allSettled(underWay),
      more: async (count: number): Promise<void> => {
        const goal = answers + count
        await eventually(() => answers >= goal || failures.length > 0)
      },
      stop: async (): Promise<void> => {
        stopped = true
        await Promise.all(running)
        agent.destroy()
      },
    }
    loads.push(generator)
    return generator
  }

  it('swaps endpoints under load without a reload, and without a request that fails', async () => {
    const addresses = ['127.0.1.1', '127.0.1.2', '127.0.1.3', '127.0.1.4', '127.0.1.5', '127.0.1.6']
    const { port, pods } = await podsOnOnePort(addresses)
    await lab.apply(service('web'), slice('web', addresses.slice(0, 3), port), INGRESS)
    const before = generation()
    const clients = load(8)
    await clients.more(50)
    for (let round = 0; round < 10; round++) {
      const now = addresses.slice(round % 4, (round % 4) + 3)
      await lab.apply(slice('web', now, port))
      // Confirmed: from now on nothing new goes to the others, when requests under way have ended.
      const gone = pods.filter(({ name }) => !now.includes(name))
      await clients.settled()
      const counts = gone.map((pod) => pod.count())
      await clients.more(30)
      assert.deepEqual(
        gone.map((pod) => pod.count()),
        counts,
      )
    }
    await clients.stop()
    assert.deepEqual(clients.failures, [])
    assert.equal(generation(), before)
  })

  it('sends nothing more to endpoints that had places which were free at first', async () => {
    const addresses = ['127.0.4.1', '127.0.4.2', '127.0.4.3', '127.0.4.4']
    const { port, pods } = await podsOnOnePort(addresses)
    await lab.apply(service('web'), slice('web', addresses.slice(0, 1), port), INGRESS)
    const before = generation()
    for (const now of [addresses, addresses.slice(0, 1), addresses.slice(1, 3), addresses.slice(3)]) {
      await lab.apply(slice('web', now, port))
      const counts = pods.map((pod) => pod.count())
      for (let request = 0; request < 16; request++) assert.equal((await lab.request('/')).status, 200)
      assert.deepEqual(
        pods.filter((pod, index) => pod.count() > counts[index]!).map(({ name }) => name),
        now,
      )
    }
    assert.equal(generation(), before)
  })

  it('gives a backend more room by a reload when it outgrows its places', async () => {
    const addresses = Array.from({ length: 9 }, (_, index) => `127.0.2.${index + 1}`)
    const { port, pods } = await podsOnOnePort(addresses)
    await lab.apply(service('web'), slice('web', addresses.slice(0, 1), port), INGRESS)
    const clients = load(4)
    await clients.more(20)
    await lab.apply(slice('web', addresses, port))
    await eventually(() => pods.every((pod) => pod.count() > 0))
    await clients.stop()
    assert.deepEqual(clients.failures, [])
  })

  it('loads another configuration without dropping connections that are open', async () => {
    const { port, pods } = await podsOnOnePort(['127.0.3.1', '127.0.3.2'])
    await lab.apply(service('web'), slice('web', ['127.0.3.1'], port), INGRESS)
    const clients = load(8)
    const idle = new http.Agent({ keepAlive: true, maxSockets: 1 })
    assert.equal((await lab.request('/', { agent: idle })).status, 200)
    for (let round = 0; round < 3; round++) {
      await clients.more(20)
      const before = generation()
      await lab.apply(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: other-${round} }
spec: { rules: [{ host: other-${round}.example.com, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { name: http } } } }] } }] }
`)
      assert.notEqual(generation(), before)
    }
    // The connection that did nothing meanwhile is of the first worker: it gets its answer all the same, and from the
    // endpoint that there is now.
    await lab.apply(slice('web', ['127.0.3.2'], port))
    await clients.settled()
    const count = pods[0]!.count()
    assert.equal((await lab.request('/', { agent: idle })).seen!.pod, '127.0.3.2')
    assert.equal(pods[0]!.count(), count)
    await clients.more(20)
    await clients.stop()
    idle.destroy()
    assert.deepEqual(clients.failures, [])
  })

  it('is taken up by the next agent in mid-traffic, and started again if it ends', async () => {
    const { port } = await podsOnOnePort(['127.0.4.1', '127.0.4.2'])
    await lab.apply(service('web'), slice('web', ['127.0.4.1'], port), INGRESS)
    const master = identify(masterPid())!
    const clients = load(4)
    await clients.more(20)
    await lab.proxy.stop()
    await clients.more(20)
    lab.view.put(slice('web', ['127.0.4.2'], port))
    lab.begin()
    await lab.proxy.apply(lab.view, { complete: true, keys: new Set() })
    await clients.more(20)
    await clients.stop()
    assert.deepEqual(clients.failures, [])
    assert(isAlive(master))
    assert.equal(masterPid(), master.pid)
    assert.equal((await lab.request('/')).seen!.pod, '127.0.4.2')
    process.kill(master.pid, 'SIGKILL')
    await eventually(
      async () => !isAlive(master) && masterPid() !== master.pid && (await lab.request('/')).status === 200,
    )
  })

  it('leaves out what haproxy refuses, says so, and serves the rest; takes it in once it is right', async () => {
    const { port } = await podsOnOnePort(['127.0.5.1'])
    const route = (name: string, expression: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec: { parentRefs: [{ name: edge }], rules: [{ matches: [{ path: { type: RegularExpression, value: "${expression}" } }], backendRefs: [{ name: web, port: 80 }] }] }
`
    await lab.apply(
      service('web'),
      slice('web', ['127.0.5.1'], port),
      `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec: { gatewayClassName: gantry, listeners: [{ name: web, port: ${lab.further[0]}, protocol: HTTP }] }
`,
      route('good', '/good.*'),
      route('bad', '/bad(?<'),
    )
    const status = async (path: string): Promise<number> => (await lab.request(path, { port: lab.further[0]! })).status
    assert.deepEqual([await status('/good'), await status('/bad')], [200, 404])
    assert.deepEqual(
      lab.problems.map(({ kind, name, reason }) => [kind, name, reason]),
      [['HTTPRoute', 'bad', 'Refused']],
    )
    await lab.apply(route('bad', '/bad.*'))
    assert.deepEqual([await status('/good'), await status('/bad')], [200, 200])
  })

  it('keeps what it has when a configuration cannot be loaded', async () => {
    const { port } = await podsOnOnePort(['127.0.6.1'])
    await lab.apply(service('web'), slice('web', ['127.0.6.1'], port), INGRESS)
    const before = generation()
    // A name server is nobody's object: nothing can be left out.
    await lab.proxy.stop()
    lab.begin(['not an address'])
    await assert.rejects(
      lab.proxy.apply(lab.view, { complete: true, keys: new Set() }),
      /haproxy refuses the configuration/,
    )
    assert.equal(generation(), before)
    assert.equal((await lab.request('/')).status, 200)
    await lab.proxy.stop()
    lab.begin()
    await lab.proxy.apply(lab.view, { complete: true, keys: new Set() })
    assert.equal(generation(), before)
  })

  it('says which port is taken, serves the others, and has it once it is free', async () => {
    const { port } = await podsOnOnePort(['127.0.7.1'])
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(lab.https, '127.0.0.1', resolve))
    await lab.apply(service('web'), slice('web', ['127.0.7.1'], port), INGRESS)
    assert.equal((await lab.request('/')).status, 200)
    assert.deepEqual(
      lab.problems.map(({ name, reason, message }) => `${name} ${reason} ${message}`),
      [`web PortUnavailable port ${lab.https} of this node cannot be served: another program listens there`],
    )
    await new Promise((resolve) => other.close(resolve))
    await eventually(async () => (await lab.request('/', { tls: true })).status === 200)
  })

  it('ends haproxy with the last Ingress', async () => {
    const { port } = await podsOnOnePort(['127.0.8.1'])
    await lab.apply(service('web'), slice('web', ['127.0.8.1'], port), INGRESS)
    const master = identify(masterPid())!
    await lab.proxy.apply(lab.view, { complete: false, keys: lab.view.remove('Ingress', 'web') })
    assert(!isAlive(master))
    await assert.rejects(lab.request('/'), /ECONNREFUSED/)
  })

  it('sends what was not yet sent to another pod when one has vanished', async () => {
    const { port, pods } = await podsOnOnePort(['127.0.9.1', '127.0.9.2'])
    await lab.apply(service('web'), slice('web', ['127.0.9.1', '127.0.9.2'], port), INGRESS)
    const clients = load(4)
    await clients.more(20)
    await pods[0]!.close()
    await clients.more(50)
    await clients.stop()
    assert.deepEqual(clients.failures, [])
  })
})
