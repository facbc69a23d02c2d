import assert from 'node:assert/strict'
import { SigningKey } from '../../../controller/accounts/signing-key.ts'
import { TokenAuthenticator } from '../../../controller/accounts/token-authenticator.ts'
import { AccountTokens } from '../../../controller/accounts/tokens.ts'
import { Dispatcher } from '../../../controller/dispatch/dispatcher.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Pod, PodToken } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { CLUSTER_NETWORK, NO_PEERS, sink, TestNode } from './test-node.ts'

const CONTEXT = { fieldManager: 'test' }
const SECOND = 1_000

describe('tokens of pods', () => {
  let clock: FakeClock
  let plane: ControlPlane
  let tokens: AccountTokens
  let authenticator: TokenAuthenticator
  let dispatcher: Dispatcher
  let running: Promise<void>
  let stop: AbortController

  beforeEach(async () => {
    clock = new FakeClock()
    plane = await ControlPlane.start(clock)
    tokens = new AccountTokens({
      key: new SigningKey(SigningKey.make()),
      clusterDomain: 'cluster.local',
      clock,
      random: seededRandom(1),
    })
    authenticator = new TokenAuthenticator({ tokens, informer: plane.informer, reads: plane.reads, clock })
    await plane.api.create<'ServiceAccount'>(
      { kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } },
      CONTEXT,
    )
    dispatcher = new Dispatcher({
      api: plane.api,
      informer: plane.informer,
      events: sink([]),
      clock,
      random: seededRandom(2),
      logger: silentLogger,
      controller: 'c1',
      cluster: CLUSTER_NETWORK,
      peers: NO_PEERS,
      tokens,
    })
    stop = new AbortController()
    running = dispatcher.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

  async function bound(
    name: string,
    node: string,
    sources: object[] = [{ serviceAccountToken: { path: 'token', expirationSeconds: 600 } }],
  ): Promise<Pod> {
    const pod = await plane.api.create<'Pod'>(
      {
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          containers: [{ name: 'c', image: 'busybox' }],
          ...(sources.length > 0 && { volumes: [{ name: 'v', projected: { sources } }] }),
        },
      },
      CONTEXT,
    )
    return plane.api.bind('default', name, pod.metadata.uid, node, CONTEXT)
  }

  const given = (node: TestNode): PodToken[] =>
    node.assignments.flatMap((assignment) => (assignment.tokens ?? []) as PodToken[])

  /** A node that says each second that it lives. */
  async function pass(millis: number, ...nodes: TestNode[]): Promise<void> {
    for (let passed = 0; passed < millis; passed += SECOND) {
      for (const node of nodes) node.sent.push({ message: { case: 'heartbeat', value: { uptimeMillis: passed } } })
      await new Promise(setImmediate)
      await clock.advance(SECOND)
    }
  }

  it('come with the pod, to its node alone, for each audience and time that a volume asks for', async () => {
    const nodes = [new TestNode(dispatcher, 'n1'), new TestNode(dispatcher, 'n2')] as const
    await eventually(() => nodes.every((node) => node.assignments.length === 1))
    const pod = await bound('a', 'n1', [
      { serviceAccountToken: { path: 'token' } },
      { serviceAccountToken: { path: 'again' } },
      { serviceAccountToken: { path: 'vault', audience: 'vault', expirationSeconds: 7200 } },
      { configMap: { name: 'c' } },
    ])
    await bound('b', 'n2', [])
    await eventually(() => nodes[0].holds.length === 1 && nodes[1].holds.length === 1)
    assert.deepEqual(
      given(nodes[0]).map(({ podUid, audience, expirationSeconds }) => [podUid, audience, expirationSeconds]),
      [
        [pod.metadata.uid, '', 3600],
        [pod.metadata.uid, 'vault', 7200],
      ],
    )
    assert.deepEqual(given(nodes[1]), [])
    const { message } = nodes[0].received.find(
      ({ message: received }) => received?.case === 'assignments' && received.value.tokens.length > 0,
    )!
    assert.ok(
      message?.case === 'assignments' && message.value.set.some(({ kind }) => kind === 'Pod'),
      'in the message that brings the pod',
    )
    const bearer = await authenticator.authenticate(given(nodes[0])[0]!.token)
    assert.deepEqual(
      [
        bearer?.name,
        bearer?.extra?.['authentication.kubernetes.io/pod-name'],
        bearer?.extra?.['authentication.kubernetes.io/node-name'],
      ],
      ['system:serviceaccount:default:default', ['a'], ['n1']],
    )
    await assert.rejects(authenticator.authenticate(given(nodes[0])[1]!.token), { code: 'Unauthenticated' })
  })

  it('are replaced when 80 % of their time have passed, and are good all the while', async () => {
    const node = new TestNode(dispatcher, 'n1')
    await bound('a', 'n1')
    await eventually(() => given(node).length === 1)
    const [first] = given(node)
    await pass(479 * SECOND, node)
    assert.equal(given(node).length, 1)
    await pass(3 * SECOND, node)
    await eventually(() => given(node).length === 2)
    const [, second] = given(node)
    assert.notEqual(second!.token, first!.token)
    for (const { token } of [first!, second!])
      assert.equal((await authenticator.authenticate(token))?.name, 'system:serviceaccount:default:default')
    await pass(120 * SECOND, node)
    await assert.rejects(authenticator.authenticate(first!.token), {
      code: 'Unauthenticated',
      message: 'the token has expired',
    })
    assert.ok(await authenticator.authenticate(second!.token))
  })

  it('are replaced when the clock was set forward', async () => {
    const node = new TestNode(dispatcher, 'n1')
    await bound('a', 'n1')
    await eventually(() => given(node).length === 1)
    clock.set(550 * SECOND)
    await pass(60 * SECOND, node)
    await eventually(() => given(node).length === 2)
    assert.ok(await authenticator.authenticate(given(node)[1]!.token))
  })

  it('are made anew for a session that begins anew, and for an account that was made again', async () => {
    const first = new TestNode(dispatcher, 'n1')
    await bound('a', 'n1')
    await eventually(() => given(first).length === 1)
    const node = new TestNode(dispatcher, 'n1')
    await eventually(() => given(node).length === 1)
    await plane.api.delete('ServiceAccount', 'default', 'default', {}, CONTEXT)
    await assert.rejects(authenticator.authenticate(given(node)[0]!.token), { code: 'Unauthenticated' })
    await plane.api.create<'ServiceAccount'>(
      { kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } },
      CONTEXT,
    )
    await eventually(() => given(node).length === 2)
    assert.ok(await authenticator.authenticate(given(node)[1]!.token))
  })

  it('are not given for an account that is not there, until it is', async () => {
    await plane.api.delete('ServiceAccount', 'default', 'default', {}, CONTEXT)
    const node = new TestNode(dispatcher, 'n1')
    await bound('a', 'n1')
    await eventually(() => node.holds.length === 1)
    assert.deepEqual(given(node), [])
    await plane.api.create<'ServiceAccount'>(
      { kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } },
      CONTEXT,
    )
    await eventually(() => given(node).length === 1)
  })

  it('are not replaced for a pod that has ended', async () => {
    const node = new TestNode(dispatcher, 'n1')
    const pod = await bound('a', 'n1')
    await eventually(() => given(node).length === 1)
    node.report(pod, { phase: 'Succeeded' })
    await eventually(() => plane.informer.lister('Pod').get('default', 'a')?.status.phase === 'Succeeded')
    await pass(600 * SECOND, node)
    assert.equal(given(node).length, 1)
  })
})
