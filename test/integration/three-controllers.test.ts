import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { request as requestPlain } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect as dial } from 'node:tls'
import { connect as connectNats } from 'nats'
import { ClusterClient } from '../../proto/client/cluster.ts'
import { ELECTION_KEY } from '../../controller/election/election.ts'
import { controllerOf } from '../../controller/nodehealth/node-session.ts'
import type { Term } from '../../controller/store/contract.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { findRecorded } from '../../controller/supervise/process-record.ts'
import { issue, type KeyPair } from '../../deploy/ca.ts'
import { connect, CONTROLLER_HOST, type Connection } from '../../proto/rpc/rpc.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { systemRandom } from '../../proto/base/random.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { ExecInput, Pod } from '../../proto/gen/types.ts'
import { eventually, until } from '../eventually.ts'
import { put } from '../contract/store.ts'
import { SessionNode } from './session-node.ts'
import { ThreeControllers, type Name } from './three-controllers.ts'

function pod(name: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: '', resourceVersion: '' },
    spec: { containers: [{ name: 'c', image: 'busybox' }] },
    status: {},
  } as unknown as Pod
}

/** The tests go on from each other. */
describe('three controllers', function () {
  this.timeout(180_000)
  let three: ThreeControllers
  let connections: Record<Name, Connection>
  let admin: KeyPair
  let nodePair: KeyPair
  let node: SessionNode
  let cluster: ClusterClient
  const clusters: ClusterClient[] = []

  /** The command line's way to the controllers, in this order. */
  function commandLine(names: readonly Name[]): ClusterClient {
    const context = { name: 'three', server: names.map((name) => three.addressOf(name)) }
    const made = new ClusterClient({
      context,
      credentials: { ca: three.authority.cert, ...admin },
      connect,
      clock: systemClock,
      signal: new AbortController().signal,
      timeout: 15_000,
    })
    clusters.push(made)
    return made
  }

  const leader = async (): Promise<Name> => (await cluster.version()).leader as Name
  const holder = async (): Promise<Name> => controllerOf(await cluster.get('Node', '', 'n1')) as Name
  const others = (name: Name): Name[] => three.names.filter((other) => other !== name)
  const storeOf = (name: Name): EtcdStore =>
    new EtcdStore(
      { endpoints: [`unix:${join(three.dataDir(name), 'etcd/clients:0')}`], clock: systemClock },
      systemRandom,
    )
  /** Without its etcd a controller is as one that the others do not reach. */
  /** Undefined while it is being started. */
  const etcdOf = async (name: Name): Promise<number | undefined> =>
    (await findRecorded(join(three.dataDir(name), 'etcd/etcd.process')))?.pid

  before(async () => {
    three = await ThreeControllers.prepare()
    admin = await issue(three.authority, { commonName: 'anna', organizations: ['system:masters'] }, Date.now())
    nodePair = await issue(
      three.authority,
      { commonName: 'system:node:n1', organizations: ['system:nodes'] },
      Date.now(),
    )
    connections = Object.fromEntries(
      three.names.map((name) => [name, connect(three.addressOf(name), { ca: three.authority.cert, ...admin })]),
    ) as Record<Name, Connection>
    cluster = commandLine(three.names)
    for (const name of three.names) three.start(name)
  })

  after(async () => {
    await node?.stop()
    for (const made of clusters) made.close()
    for (const connection of Object.values(connections)) connection.close()
    await three.remove()
  })

  it('form one cluster with one leader', async () => {
    const versions = await Promise.all(three.names.map((name) => three.serving(name, connections[name])))
    assert.deepEqual(
      versions.map(({ controller }) => controller),
      three.names,
    )
    assert.equal(new Set(versions.map(({ leader: name }) => name)).size, 1)
  })

  it("let nobody into their etcd and NATS who has a node's certificate", async () => {
    const { etcdPeer, natsPeer } = three.peerPorts
    const members = (pair: KeyPair): Promise<number> =>
      new Promise((resolve, reject) => {
        request(
          `https://127.0.0.1:${etcdPeer}/members`,
          { ca: three.authority.cert, ...pair, servername: CONTROLLER_HOST, agent: false },
          (response) => resolve(response.resume().statusCode!),
        )
          .on('error', reject)
          .end()
      })
    const controllerPair = await issue(
      three.authority,
      { commonName: 'c4', hosts: [CONTROLLER_HOST, '127.0.0.1'] },
      Date.now(),
    )
    assert.equal(await members(controllerPair), 200)
    await assert.rejects(members(nodePair))

    const answer = await new Promise<string>((resolve, reject) => {
      let text = ''
      const route = dial({
        host: '127.0.0.1',
        port: natsPeer,
        ca: three.authority.cert,
        ...nodePair,
        servername: CONTROLLER_HOST,
      })
      route.on('data', (chunk: Buffer) => (text += chunk.toString()))
      route.once('secureConnect', () =>
        route.write(
          'CONNECT {"verbose":false,"pedantic":false,"user":"gantry","pass":"guess","tls_required":true,"name":"x","cluster":"gantry"}\r\n',
        ),
      )
      route.on('error', reject)
      route.on('close', () => resolve(text))
    })
    assert.match(answer, /Authorization Violation/)
  })

  it('keep events in three copies', async () => {
    const told = await cluster.version()
    await cluster.create(pod('early')) // for which there is no node: the leader's scheduler says so
    const config = await readFile(join(three.dataDir(told.leader as Name), 'nats/nats.conf'), 'utf8')
    const nats = await connectNats({
      servers: /listen: "(127\.0\.0\.1:\d+)"/.exec(config)![1]!,
      token: /token: "(\w+)"/.exec(config)![1]!,
    })
    try {
      // Its servers may still be choosing who leads among them: a question asked then is not answered.
      const { streams } = await nats.jetstreamManager({ checkAPI: false, timeout: 2_000 })
      await eventually(async () => {
        // Made while fewer servers were there, it gets its other copies soon after they have come.
        assert.equal((await streams.info('GANTRY_EVENTS')).config.num_replicas, 3)
      }, 45_000)
    } finally {
      await nats.close()
    }
    await cluster.delete('Pod', 'default', 'early')
  })

  it("pass questions on to the leader, and logs and commands to the holder of the node's session", async () => {
    node = new SessionNode('n1', three.addresses, { ca: three.authority.cert, ...nodePair })
    await cluster.create(pod('web'))
    await until('the node has the pod', () => [...node.pods.values()].includes('web'))
    for (const name of three.names) {
      const one = commandLine([name])
      assert.equal((await one.why('default', 'web')).node, 'n1', name)
      let log = ''
      for await (const chunk of one.logs({ namespace: 'default', pod: 'web' })) log += Buffer.from(chunk).toString()
      assert.equal(log, 'log of web\n', name)
      const outputs: unknown[] = []
      for await (const { output } of one.exec(start('web', ['say', name])))
        outputs.push(output?.case === 'stdout' ? Buffer.from(output.value).toString() : output?.value)
      assert.deepEqual(outputs, [`say ${name}`, { code: 3, message: '' }])
      assert.equal((await one.get('Pod', 'default', 'web')).spec.nodeName, 'n1')
    }
  })

  it('go on when the leader is killed; its term is over', async () => {
    const old = await leader()
    const [survivor = 'c1', last = 'c2'] = others(old)
    const store = storeOf(survivor)
    try {
      const term: Term = { key: ELECTION_KEY, createRevision: (await store.get(ELECTION_KEY))!.createRevision }
      await three.kill(old)
      // A dead server costs a command nothing worth speaking of.
      const command = commandLine([old, survivor, last])
      await command.apply('ConfigMap', 'default', 'kept', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kept' },
        data: { a: 'b' },
      })
      await three.serving(survivor, connections[survivor], old)
      assert.equal((await store.commit([put('/gantry-test/x', '1')], term)).outcome, 'deposed')
      await command.create(pod('after'))
      await until(
        'the new leader has placed a pod',
        async () => (await command.get('Pod', 'default', 'after')).spec.nodeName === 'n1',
      )
      await until('the node has it', () => [...node.pods.values()].includes('after'))
      await eventually(async () => {
        const reasons: string[] = []
        for await (const event of command.events({ namespace: 'default', kind: 'Pod', name: 'after' }))
          reasons.push(event.reason!)
        assert.ok(reasons.includes('Scheduled'), reasons.join())
      })
    } finally {
      await store.close()
    }
    three.start(old)
    await three.serving(old, connections[old], old)
    assert.deepEqual((await commandLine([old]).get('ConfigMap', 'default', 'kept')).data, { a: 'b' })
  })

  it('one that is cut off says so soon, and its nodes go to another; healed, it serves again', async () => {
    const cut = await holder()
    const [one = 'c1', two = 'c2'] = others(cut)
    const welcomes = node.welcomes
    const stopped = new Set<number>()
    /** A controller ends a member that has had no leader for 5 s, and starts it anew: that one is stopped as well. */
    const stopEtcd = async (): Promise<void> => {
      const pid = await etcdOf(cut)
      if (pid === undefined || stopped.has(pid)) return
      process.kill(pid, 'SIGSTOP')
      stopped.add(pid)
    }
    try {
      // Says so itself: whoever asks does not have to wait until the time that it gave is over.
      let outcome = 'answered'
      while (outcome === 'answered') {
        await stopEtcd()
        const pods = connections[cut].client('Resources').list({ apiVersion: 'v1', kind: 'Pod' }, { timeout: 15_000 })
        outcome = await pods.then(
          () => 'answered',
          (error: unknown) => GantryError.from(error).code,
        )
      }
      assert.equal(outcome, 'Unavailable')
      await until('the node has another controller', async () => {
        await stopEtcd()
        return node.welcomes > welcomes
      })
      assert.equal((await commandLine([cut, one, two]).list('Pod', { namespace: 'default' })).items.length, 2)
      assert.notEqual(controllerOf(await commandLine([one]).get('Node', '', 'n1')), cut)
    } finally {
      const pid = await etcdOf(cut)
      if (pid !== undefined) process.kill(pid, 'SIGCONT')
    }
    await three.serving(cut, connections[cut])
    assert.equal((await commandLine([cut]).list('Pod', { namespace: 'default' })).items.length, 2)
  })

  it('a command does not wait for a controller that has stopped in its tracks', async () => {
    const [first = 'c1', ...rest] = three.names
    three.signal(first, 'SIGSTOP')
    try {
      assert.equal((await commandLine([first, ...rest]).list('Pod', { namespace: 'default' })).items.length, 2)
    } finally {
      three.signal(first, 'SIGCONT')
    }
  })

  it('one that has lost its data is refused, with what to do; that done, it gets everything from the others', async () => {
    const old = await leader()
    const lost = others(old)[0]!
    await three.kill(lost)
    await rm(three.dataDir(lost), { recursive: true })
    three.start(lost)
    assert.equal(await three.ended(lost), 1)
    const output = three.outputOf(lost)
    assert.match(
      output,
      new RegExp(
        `the cluster knows ${lost} \\(etcd member [0-9a-f]+\\), but here are no data of it: they are lost; bring the data back; or, `,
      ),
    )
    const [, id = ''] = /member remove ([0-9a-f]+)"/.exec(output) ?? []
    const [, url = ''] = /--peer-urls (https:[^"]+)"/.exec(output) ?? []
    // Without a leader, which the one that was killed may have been, etcd loses a change without an answer.
    const store = storeOf(old)
    await eventually(() => store.revision())
    await store.close()
    // As etcdctl does, which is a package of its own.
    await memberChange(three.dataDir(old), 'remove', { ID: BigInt(`0x${id}`).toString() })
    // etcd takes nobody in before its members have been connected to each other for 5 s, and some were cut off a moment
    // ago.
    await eventually(() => memberChange(three.dataDir(old), 'add', { peerURLs: [url] }), 30_000)
    three.start(lost)
    await three.serving(lost, connections[lost])
    assert.deepEqual((await commandLine([lost]).get('ConfigMap', 'default', 'kept')).data, { a: 'b' })
  })
})

/** https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/ */
function memberChange(dataDir: string, change: 'add' | 'remove', body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = requestPlain(
      { socketPath: join(dataDir, 'etcd/clients:0'), path: `/v3/cluster/member/${change}`, method: 'POST' },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${change}: ${text}`))))
      },
    )
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
}

async function* start(name: string, command: string[]): AsyncGenerator<Input<ExecInput>, void, undefined> {
  yield {
    input: {
      case: 'start',
      value: { namespace: 'default', pod: name, container: '', command, stdin: false, tty: false },
    },
  }
}
