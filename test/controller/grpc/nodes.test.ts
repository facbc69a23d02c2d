import assert from 'node:assert/strict'
import { Registry } from 'prom-client'
import { CONTROLLERS, MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import { NodesHandlers } from '../../../controller/grpc/nodes.ts'
import type { NodeBackend } from '../../../controller/requests/backends.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { NodeMessage, StreamUp } from '../../../proto/gen/types.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { mastersOnly, testRequests } from '../requests/test-requests.ts'

const AGENT = { name: 'system:node:n1', groups: [NODES] }

describe('the service Nodes', () => {
  let registry: Registry
  let audited: string[]
  /** Nodes for which something was opened. */
  let opened: string[]
  let handlers: NodesHandlers
  let over: AbortController

  beforeEach(() => {
    registry = new Registry()
    audited = []
    opened = []
    over = new AbortController()
    const nodes: NodeBackend = {
      async *session(node, messages, { signal }) {
        opened.push(`session ${node}`)
        for await (const _ of messages) yield { message: { case: 'withdrawn', value: { podUids: [] } } }
        signal.throwIfAborted()
      },
      async *stream(node, messages) {
        opened.push(`stream ${node}`)
        for await (const _ of messages) yield {}
      },
    }
    handlers = new NodesHandlers(
      testRequests({
        nodes,
        registry,
        clock: new FakeClock(),
        authorizer: mastersOnly,
        auditor: {
          received: ({ verb, resource, subresource, name }) =>
            void audited.push(`received ${verb} ${resource}/${subresource} ${name}`),
          completed: ({ subresource }, { code }) => void audited.push(`completed ${subresource} ${code}`),
        },
      }),
    )
  })

  const call = (user: CallContext['user']): CallContext => ({ signal: over.signal, user, peer: '10.0.0.1:40000' })

  /** Says so when it is read. */
  async function* messages<T>(read: string[] = []): AsyncGenerator<T, void, undefined> {
    read.push('read')
    yield {} as T
  }

  async function count(stream: AsyncIterable<unknown>): Promise<number> {
    let pieces = 0
    for await (const _ of stream) pieces++
    return pieces
  }

  it("lets an agent open what is its own node's, counts it and tells the auditor", async () => {
    assert.equal(await count(handlers.session(messages<NodeMessage>(), call(AGENT))), 1)
    assert.equal(await count(handlers.stream(messages<StreamUp>(), call(AGENT))), 1)
    assert.deepEqual(opened, ['session n1', 'stream n1'])
    assert.deepEqual(audited, [
      'received create nodes/session n1',
      'completed session OK',
      'received create nodes/stream n1',
      'completed stream OK',
    ])
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('gantry_requests_total'))
    assert.deepEqual(
      lines,
      ['session', 'stream'].map(
        (subresource) =>
          `gantry_requests_total{face="grpc",verb="create",group="",resource="nodes",subresource="${subresource}",code="OK"} 1`,
      ),
    )
  })

  it('has a session under way until the agent goes', async () => {
    const session = handlers.session(messages<NodeMessage>(), call(AGENT))
    await session.next()
    assert.match(await registry.metrics(), /gantry_requests_in_flight\{[^}]*subresource="session"\} 1/)
    assert.deepEqual(audited, ['received create nodes/session n1'])
    over.abort(new GantryError('Cancelled', 'the agent went away'))
    await assert.rejects(session.next(), { code: 'Cancelled' })
    assert.match(await registry.metrics(), /gantry_requests_in_flight\{[^}]*subresource="session"\} 0/)
    assert.deepEqual(audited.slice(1), ['completed session OK'])
  })

  for (const [who, user] of [
    ['an administrator', { name: 'anna', groups: [MASTERS] }],
    ['a controller', { name: 'system:controller:c2', groups: [CONTROLLERS] }],
    ['a certificate of the nodes with another name', { name: 'carl', groups: [NODES] }],
    ['a certificate of the nodes that names none', { name: 'system:node:', groups: [NODES] }],
    ["an agent's name without its organisation", { name: 'system:node:n1', groups: [] }],
    ['somebody without a certificate', { name: '', groups: [] }],
  ] as const)
    it(`refuses ${who} before anything is read`, async () => {
      const read: string[] = []
      for (const stream of [
        handlers.session(messages<NodeMessage>(read), call(user)),
        handlers.stream(messages<StreamUp>(read), call(user)),
      ])
        await assert.rejects(count(stream), { code: 'Forbidden', message: /cannot create resource "nodes\// })
      assert.deepEqual([read, opened], [[], []])
      assert.deepEqual(
        audited.filter((line) => line.startsWith('completed')),
        ['completed session Forbidden', 'completed stream Forbidden'],
      )
    })
})
