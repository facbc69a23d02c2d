/**
 * One user's flood of costly bodies against a real controller: its leadership, a node's session and another user do not
 * suffer by it.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClusterClient } from '../../proto/client/cluster.ts'
import { ELECTION_KEY } from '../../controller/election/election.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { findRecorded, isRunning } from '../../controller/supervise/process-record.ts'
import { createAuthority, issue, type KeyPair } from '../../deploy/ca.ts'
import { ACCESS_ANNOTATION } from '../../proto/objects/account-access.ts'
import { connect } from '../../proto/rpc/rpc.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { until } from '../eventually.ts'
import { startController, type ControllerProgram } from './controller-program.ts'
import { freePorts } from './free-port.ts'
import { SessionNode } from './session-node.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
/** Requests of the flood in all, and those that are sent without waiting for an answer. */
const FLOOD = 120
const AT_ONCE = 60

interface Reply {
  readonly status: number
  readonly body: string
}

describe('a flood of costly requests', function () {
  this.timeout(180_000)
  let dir: string
  let authority: KeyPair
  let admin: KeyPair
  let kubePort: number
  let controller: ControllerProgram
  let cluster: ClusterClient
  let store: EtcdStore
  let node: SessionNode
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE + 10 })

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gantry-flood-'))
    const now = Date.now()
    authority = await createAuthority('test', now)
    admin = await issue(authority, { commonName: 'anna', organizations: ['system:masters'] }, now)
    const server = await issue(
      authority,
      { commonName: 'gantry-controller', hosts: ['127.0.0.1', 'gantry-controller'] },
      now,
    )
    const [port = 0, kube = 0, nats = 0] = await freePorts(3)
    kubePort = kube
    const files = { 'ca.crt': authority.cert, 'tls.crt': server.cert, 'tls.key': server.key }
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text, { mode: 0o600 })
    await writeFile(
      join(dir, 'config.yaml'),
      JSON.stringify({
        name: 'c1',
        listen: `127.0.0.1:${port}`,
        kubeListen: `127.0.0.1:${kube}`,
        dataDir: join(dir, 'data'),
        ports: { nats },
        tls: { ca: join(dir, 'ca.crt'), cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key') },
      }),
    )
    controller = startController(join(dir, 'config.yaml'))
    const context = { name: 'one', server: [`127.0.0.1:${port}`] }
    cluster = new ClusterClient({
      context,
      credentials: { ca: authority.cert, ...admin },
      connect,
      clock: systemClock,
      signal: new AbortController().signal,
      timeout: 15_000,
    })
    await until('it leads', async () => (await cluster.version()).leader === 'c1', 60_000)
    store = new EtcdStore({ endpoints: [`unix:${join(dir, 'data/etcd/clients:0')}`], clock: systemClock }, systemRandom)
    const pair = await issue(authority, { commonName: 'system:node:n1', organizations: ['system:nodes'] }, now)
    node = new SessionNode('n1', [`127.0.0.1:${port}`], { ca: authority.cert, ...pair })
    await until('the node has its session', () => node.welcomes === 1)
  })

  after(async () => {
    agent.destroy()
    await node?.stop()
    await store?.close()
    const records = await Promise.all(
      ['etcd', 'nats'].map((name) => findRecorded(join(dir, 'data', name, `${name}.process`))),
    )
    controller.process.kill('SIGTERM')
    await controller.ended
    for (const record of records)
      if (record !== undefined) await until('what it ran is gone', async () => !(await isRunning(record)))
    await rm(dir, { recursive: true, force: true })
  })

  /** By an administrator's certificate, or with a token instead. */
  function send(
    method: string,
    path: string,
    options: { body?: string; type?: string; token?: string } = {},
  ): Promise<Reply> {
    const { body = '', type = 'application/json', token } = options
    const credentials = token === undefined ? { cert: admin.cert, key: admin.key } : { agent }
    const headers = { 'Content-Type': type, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) }
    return new Promise((resolve, reject) => {
      const sent = request(
        { host: '127.0.0.1', port: kubePort, method, path, ca: authority.cert, headers, ...credentials },
        (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
          response.once('end', () => resolve({ status: response.statusCode!, body: text })).once('error', reject)
        },
      )
      sent.once('error', reject).end(body)
    })
  }

  async function tokenOf(name: string): Promise<string> {
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name, annotations: { [ACCESS_ANNOTATION]: 'edit' } },
    }
    const accounts = '/api/v1/namespaces/default/serviceaccounts'
    assert.equal((await send('POST', accounts, { body: JSON.stringify(account) })).status, 201)
    const { status, body } = await send('POST', `${accounts}/${name}/token`, { body: '{"spec":{}}' })
    assert.equal(status, 201, body)
    return (JSON.parse(body) as { status: { token: string } }).status.token
  }

  it('takes neither its leadership nor a node from a controller, and another user is answered in the midst of it', async () => {
    const [hostile, victim] = [await tokenOf('hostile'), await tokenOf('victim')]
    const term = (await store.get(ELECTION_KEY))!.createRevision
    const readySince = async (): Promise<string> => {
      const ready = (await cluster.get('Node', '', 'n1')).status.conditions?.find(({ type }) => type === 'Ready')
      return `${ready?.status} since ${ready?.lastTransitionTime}`
    }
    const before = await readySince()
    assert.match(before, /^True since /)
    // None of them can be stored: what they cost is to find that out.
    const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`no/key/${index}`, 'v']))
    const json = JSON.stringify({ metadata: { name: 'x' }, data: keys })
    const yaml = `kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: [${'a,'.repeat(20_000)}a]\n`
    const answers: number[] = []
    let next = 0
    const sender = async (): Promise<void> => {
      for (let index = next++; index < FLOOD; index = next++) {
        const { status } = await send(
          'POST',
          CONFIG_MAPS,
          index % 4 === 0 ? { body: yaml, type: 'application/yaml', token: hostile } : { body: json, token: hostile },
        )
        answers.push(status)
      }
    }
    const flood = Promise.all(Array.from({ length: AT_ONCE }, sender))
    await until('the flood has begun', () => answers.length > 0)
    let answered = 0
    while (answers.length < FLOOD / 2) {
      const { status, body } = await send('GET', `${CONFIG_MAPS}/kube-root-ca.crt`, { token: victim })
      assert.equal(status, 200, body)
      answered++
    }
    assert.ok(answered > 0)
    await flood
    assert.equal(answers.length, FLOOD)
    assert.deepEqual(
      answers.filter((status) => ![400, 413, 422, 429].includes(status)),
      [],
    )
    assert.equal((await store.get(ELECTION_KEY))!.createRevision, term, controller.output)
    assert.equal(node.welcomes, 1, 'the node kept its session')
    assert.equal(await readySince(), before)
  })
})
