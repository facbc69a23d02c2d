import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { TestApiServer } from './test-api-server.ts'

/** What nodes answer whose agents are not what they should be, by node. */
const STRANGE: Readonly<Record<string, { readonly code?: number; readonly contentType?: string }>> = {
  html: { contentType: 'text/html' },
  split: { contentType: 'text/plain\r\nSet-Cookie: a=b' },
  none: { code: 0 },
  upgrade: { code: 101 },
  elsewhere: { code: 302 },
  huge: { code: 70_000 },
}

describe('Kubernetes face: pages of nodes', () => {
  const asked: string[] = []
  let face: TestApiServer
  before(async () => {
    const nodePages = {
      read: (node: string, path: string) => {
        asked.push(`${node} ${path}`)
        if (node === 'away') return Promise.reject(new GantryError('Unavailable', 'node away has no session'))
        const strange = STRANGE[node]
        if (strange !== undefined)
          return Promise.resolve({
            code: 200,
            contentType: 'text/plain',
            body: Buffer.from('<script>1</script>'),
            ...strange,
          })
        return Promise.resolve({
          code: path.startsWith('/metrics') ? 200 : 404,
          contentType: 'text/plain; version=0.0.4',
          body: Buffer.from(`${path}\n`),
        })
      },
    }
    face = await TestApiServer.start({ parts: { nodePages } })
  })
  after(() => face.stop())
  beforeEach(() => void asked.splice(0))

  it('are read below the proxy of the node, with or without the port of a kubelet', async () => {
    for (const [path, page] of [
      ['n1/proxy/metrics', '/metrics'],
      ['n1:10250/proxy/metrics/cadvisor', '/metrics/cadvisor'],
      ['https:n1:10250/proxy/metrics/resource', '/metrics/resource'],
    ] as const) {
      const reply = await face.get(`/api/v1/nodes/${path}`)
      assert.deepEqual(
        [reply.status, reply.headers['content-type'], reply.body.toString()],
        [200, 'text/plain; version=0.0.4', `${page}\n`],
      )
    }
    assert.deepEqual(asked, ['n1 /metrics', 'n1 /metrics/cadvisor', 'n1 /metrics/resource'])
    assert.equal((await face.get('/api/v1/nodes/n1/proxy/')).status, 404)
  })

  it('are only read, at that port, of a node that answers', async () => {
    assert.equal((await face.send('POST', '/api/v1/nodes/n1/proxy/metrics', { body: {} })).status, 405)
    assert.equal((await face.get('/api/v1/nodes/n1:22/proxy/metrics')).status, 400)
    assert.deepEqual(asked, [])
    assert.equal((await face.get('/api/v1/nodes/away/proxy/metrics')).status, 503)
    const stranger = await face.get('/api/v1/nodes/n1/proxy/metrics', { token: '' })
    assert.ok([401, 403].includes(stranger.status))
  })

  it('are text or JSON, whatever a node says: a browser would take a page of HTML for one of the API server', async () => {
    for (const node of Object.keys(STRANGE)) {
      const reply = await face.get(`/api/v1/nodes/${node}/proxy/metrics`)
      assert.equal(reply.status, 503, node)
      assert.match(reply.json.message as string, new RegExp(`node ${node} answers with what is no page of a node`))
    }
  })

  it('leave a counter a counter', async () => {
    const metrics = (await face.get('/metrics')).body.toString()
    assert.match(metrics, /^# TYPE process_cpu_seconds_total counter$/m)
    assert.match(metrics, /^process_cpu_seconds_total \d/m)
  })
})
