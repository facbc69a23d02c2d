import assert from 'node:assert/strict'
import type { Attributes } from '../../../controller/authorization/authorizer.ts'
import { CONTROLLERS, MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import { NodeAuthorizer } from '../../../controller/authorization/node-authorizer.ts'

const AGENT = { name: 'system:node:n1', groups: [NODES] }

describe("who may open what is a node's", () => {
  const others: Attributes[] = []
  const authorizer = new NodeAuthorizer({
    decide(attributes) {
      others.push(attributes)
      return { allowed: true, reason: 'the next has decided' }
    },
  })
  beforeEach(() => (others.length = 0))

  const opening = (user: Attributes['user'], name: string, subresource: string): Attributes => ({
    user,
    verb: 'create',
    group: '',
    resource: 'nodes',
    subresource,
    name,
  })

  for (const subresource of ['session', 'stream'])
    for (const [who, user, name, reason] of [
      ['its agent', AGENT, 'n1', undefined],
      ["another's agent", AGENT, 'n2', /the certificate is that of node n1/],
      ['an agent that names none', AGENT, '', /the certificate is that of node n1/],
      ['an administrator', { name: 'anna', groups: [MASTERS] }, 'n1', /organisation system:nodes/],
      ["an administrator with an agent's name", { name: 'system:node:n1', groups: [MASTERS] }, 'n1', /organisation/],
      ['a controller', { name: 'system:controller:c1', groups: [CONTROLLERS] }, 'n1', /organisation/],
      ["a node's certificate with another name", { name: 'n1', groups: [NODES] }, 'n1', /"n1" is not the name/],
      ['somebody without a certificate', { name: '', groups: [] }, '', /organisation/],
    ] as const)
      it(`${subresource}: ${who} ${reason === undefined ? 'may' : 'may not'}`, () => {
        const decision = authorizer.decide(opening(user, name, subresource))
        assert.equal(decision.allowed, reason === undefined)
        if (reason !== undefined) assert.match(decision.reason!, reason)
        assert.deepEqual(others, [])
      })

  it('leaves all else to the next', () => {
    const asked: Attributes[] = [
      { user: AGENT, verb: 'get', group: '', resource: 'nodes', name: 'n1' },
      { user: AGENT, verb: 'get', group: '', resource: 'nodes', subresource: 'proxy', name: 'n1' },
      { user: AGENT, verb: 'create', group: '', resource: 'pods', subresource: 'session', name: 'n1' },
      { user: AGENT, verb: 'create', group: 'example.com', resource: 'nodes', subresource: 'session', name: 'n1' },
      { user: AGENT, verb: 'get', path: '/version' },
    ]
    for (const attributes of asked) assert.equal(authorizer.decide(attributes).reason, 'the next has decided')
    assert.deepEqual(others, asked)
  })
})
