/**
 * The example in three tiers (deploy/examples/shop), as its README tells it: through the ingress proxy with TLS, with
 * its policies, over its loss.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as requestPlain } from 'node:http'
import { request as requestSecure, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildShopImages, pushShopImages } from '../../deploy/examples/shop/images/build.ts'
import { eventually } from '../eventually.ts'
import { selfSigned } from '../self-signed.ts'
import { Cluster, ROOT } from './cluster.ts'

const HOST = 'shop.example.com'
/** The layers of packages of the last runs: they take longer to make than all that is looked at here. */
const PACKAGES = join(ROOT, 'node_modules/.cache/gantry-shop')

interface Answer {
  readonly status: number
  readonly body: string
  readonly location: string | undefined
}

describe('the shop in three tiers', function () {
  this.timeout(240_000)
  let cluster: Cluster | undefined
  let certificate: { cert: string; key: string }
  let folder: string

  const run = (...args: string[]): Promise<string> => cluster!.ok([...args, '-n', 'shop'])

  /** Asks the ingress proxy of a node; the certificate must be the shop's. */
  function ask(
    node: string,
    method: string,
    path: string,
    request: typeof requestPlain = requestSecure,
  ): Promise<Answer> {
    const { address } = cluster!.rig.machine(node)
    const options: RequestOptions = {
      host: address,
      servername: HOST,
      ca: certificate.cert,
      method,
      path,
      headers: { host: HOST },
      timeout: 5_000,
    }
    return new Promise((resolve, reject) => {
      const asked = request(options, (response) => {
        let body = ''
        response
          .setEncoding('utf8')
          .on('data', (text: string) => (body += text))
          .on('end', () => resolve({ status: response.statusCode ?? 0, body, location: response.headers.location }))
      })
      asked
        .on('timeout', () => asked.destroy(new Error(`${node} does not answer ${method} ${path}`)))
        .on('error', reject)
        .end()
    })
  }

  const order = async (node: string): Promise<number> => {
    const { status, body } = await ask(node, 'POST', '/api/orders')
    assert.equal(status, 200, body)
    return (JSON.parse(body) as { orders: number }).orders
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gantry-shop-'))
    certificate = await selfSigned(HOST)
    for (const [name, text] of Object.entries(certificate)) writeFileSync(join(folder, name), text)
    const images = buildShopImages({ cache: PACKAGES })
    // It is looked at below, if the cluster comes up.
    images.catch(() => undefined)
    cluster = await Cluster.start('shop', 2)
    // A rig's first node is an ingress node already.
    await cluster.ok(['label', 'node', 'n2', 'gantry.dev/entrance=true'])
    await pushShopImages(cluster.registry, await images)
    await cluster.ok(['apply', '-f', join(ROOT, 'deploy/examples/shop/shop.yaml')])
    await run('create', 'secret', 'tls', 'shop-tls', '--cert', join(folder, 'cert'), '--key', join(folder, 'key'))
    await Promise.all(
      ['redis', 'api', 'web'].map((tier) => run('rollout', 'status', `deploy/${tier}`, '--timeout', '120s')),
    )
  })

  after(async () => {
    await cluster?.stop()
    rmSync(folder, { recursive: true })
  })

  it('is reached through the ingress proxy of every node, with TLS, and keeps what was ordered', async () => {
    await eventually(async () => (await ask('n1', 'GET', '/')).status === 200)
    assert.match((await ask('n2', 'GET', '/')).body, /<title>The shop<\/title>/)
    assert.equal(await order('n1'), 1)
    assert.equal(await order('n2'), 2)
    assert.equal((JSON.parse((await ask('n1', 'GET', '/api/orders')).body) as { orders: number }).orders, 2)
    assert.equal((await ask('n1', 'GET', '/api/nothing')).status, 404)
  })

  it('sends who comes without TLS to where there is', async () => {
    const { status, location } = await ask('n1', 'GET', '/api/orders?x=1', requestPlain)
    assert.ok([301, 302, 307, 308].includes(status), String(status))
    assert.equal(location, `https://${HOST}/api/orders?x=1`)
  })

  it('says in the Ingress at which addresses it is', async () => {
    const addresses = await run('get', 'ingress', 'shop', '-o', 'jsonpath={.status.loadBalancer.ingress[*].ip}')
    assert.deepEqual(addresses.split(' ').sort(), ['n1', 'n2'].map((node) => cluster!.rig.machine(node).address).sort())
  })

  it('lets nothing through that its policies do not allow', async () => {
    await cluster!.ok(['run', 'stranger', '--image', 'busybox', '--restart', 'Never', '--', 'sleep', '1000'])
    await cluster!.ok(['wait', '--for', 'condition=Ready', 'pod/stranger', '--timeout', '60s'])
    const closed = async (service: string, port: string): Promise<void> => {
      const address = await run('get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}')
      // The name is known to everybody, the way is not open.
      assert.match(
        await cluster!.ok(['exec', 'stranger', '--', 'nslookup', `${service}.shop.svc.cluster.local`]),
        new RegExp(address.replaceAll('.', '\\.')),
      )
      const { code } = await cluster!.run(['exec', 'stranger', '--', 'nc', '-w', '2', address, port])
      assert.notEqual(code, 0, `a stranger reaches ${service}`)
    }
    await Promise.all([closed('redis', '6379'), closed('api', '8080'), closed('web', '80')])
    await cluster!.ok(['delete', 'pod', 'stranger', '--now'])
  })

  it('goes on while each tier is replaced, without a failed request', async () => {
    let stop = false
    let asked = 0
    const failed: string[] = []
    const load = ['n1', 'n2'].map(async (node) => {
      while (!stop) {
        asked++
        await ask(node, 'GET', '/api/orders').then(
          ({ status, body }) => status === 200 || failed.push(`${status} ${body}`),
          (thrown: unknown) => failed.push(String(thrown)),
        )
      }
    })
    const before = asked
    for (const tier of ['web', 'api']) {
      await run('rollout', 'restart', `deploy/${tier}`)
      await run('rollout', 'status', `deploy/${tier}`, '--timeout', '120s')
    }
    await eventually(() => asked > before + 50)
    stop = true
    await Promise.all(load)
    assert.deepEqual(failed, [])
  })
})
