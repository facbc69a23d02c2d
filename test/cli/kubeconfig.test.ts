import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import type { AddressInfo } from 'node:net'
import { parse } from 'yaml'
import { type Context } from '../../proto/client/context.ts'
import { upsertContext } from '../../proto/client/context-changes.ts'
import { Console } from './console.ts'

const pem = (label: string, content: string): string => `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`
const CREDENTIALS = {
  ca: pem('CERTIFICATE', 'Y2E='),
  cert: pem('CERTIFICATE', 'Y2VydA=='),
  key: pem('PRIVATE KEY', 'a2V5'),
}

describe('gantry kubeconfig', () => {
  let console: Console
  let server: Server
  let address: string
  /** Nobody listens there. */
  let closed: string

  beforeEach(async () => {
    console = await new Console().open()
    const listen = (): Promise<Server> =>
      new Promise((resolve) => {
        const made = createServer((socket) => void socket.destroy()).listen(0, '127.0.0.1', () => resolve(made))
      })
    const addressOf = (made: Server): string => `127.0.0.1:${(made.address() as AddressInfo).port}`
    server = await listen()
    address = addressOf(server)
    const other = await listen()
    closed = addressOf(other)
    await new Promise((done) => other.close(done))
  })

  afterEach(async () => {
    await new Promise((done) => server.close(done))
    await console.close()
  })

  const context = (more: Partial<Context>): Promise<void> =>
    upsertContext(
      console.configFile,
      { name: 'lab', server: ['h:7443'], ...CREDENTIALS, ...more },
      { makeCurrent: true },
    )

  it('holds all that a client needs, and names a controller that can be reached', async () => {
    await context({ kube: [closed, address], namespace: 'shop', serverName: 'gantry-controller' })
    const { exit, stdout, stderr } = await console.run('kubeconfig')
    assert.deepEqual([exit, stderr], [0, ''])
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    assert.match(
      stdout,
      /^apiVersion: v1\nkind: Config\nclusters:\n- name: lab\n {2}cluster:\n {4}server: https:/,
      'as kubectl writes it',
    )
    assert.deepEqual(parse(stdout), {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'lab',
      preferences: {},
      clusters: [
        {
          name: 'lab',
          cluster: {
            server: `https://${address}`,
            'certificate-authority-data': base64(CREDENTIALS.ca),
            'tls-server-name': 'gantry-controller',
          },
        },
      ],
      users: [
        {
          name: 'lab-admin',
          user: { 'client-certificate-data': base64(CREDENTIALS.cert), 'client-key-data': base64(CREDENTIALS.key) },
        },
      ],
      contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab-admin', namespace: 'shop' } }],
    })
    const {
      contexts: [chosen],
    } = parse((await console.run('kubeconfig -n yard')).stdout) as { contexts: [{ context: { namespace: string } }] }
    assert.equal(chosen.context.namespace, 'yard')
  })

  it('names the first controller, with a warning, where none is reached; and whatever it is told to', async () => {
    await context({ kube: [closed] })
    const { exit, stdout, stderr } = await console.run('kubeconfig')
    assert.deepEqual([exit, stderr], [0, `warning: none of ${closed} can be reached from here now\n`])
    assert.ok(stdout.includes(`https://${closed}`))
    const told = await console.run('kubeconfig --kube-server api.example.com:443')
    assert.deepEqual([told.exit, told.stderr, told.stdout.includes('https://api.example.com:443')], [0, '', true])
  })

  it('takes port 6443 where the context does not say, and keeps what it says', async () => {
    await context({ server: ['127.0.0.1:1'] })
    assert.ok((await console.run('kubeconfig')).stdout.includes('https://127.0.0.1:6443'))
    await console.run(`config set-context lab --kube ${address}`)
    assert.ok((await console.run('kubeconfig')).stdout.includes(`https://${address}`))
    await console.run('config set-context lab -n yard')
    assert.ok((await console.run('kubeconfig')).stdout.includes(`https://${address}`), 'another change')
    await console.run('config set-context lab --server 127.0.0.2:7443')
    assert.ok((await console.run('kubeconfig --kube-server x:1')).stdout.includes('https://x:1'))
    assert.match(
      (await console.run('config view --minify')).stdout,
      /server:\n {6}- 127\.0\.0\.2:7443\n {4}ca/,
      'of other controllers',
    )
  })

  it('is refused for a context without certificates, and for words that mean nothing', async () => {
    await console.run('config use-context test')
    const { exit, stderr } = await console.run('kubeconfig')
    assert.equal(exit, 1)
    assert.match(stderr, /context test has no certificates/)
    assert.equal((await console.run('kubeconfig lab')).exit, 2)
    assert.equal((await console.run('kubeconfig --kube-server lab')).exit, 2)
  })
})
