import assert from 'node:assert/strict'
import { ClusterHandlers } from '../../../controller/grpc/cluster.ts'
import { mastersOnly, testRequests } from '../requests/test-requests.ts'
import { ReplicaPeers } from '../../../controller/election/peers.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext, Connection } from '../../../proto/rpc/rpc.ts'
import type { WhyResponse } from '../../../proto/gen/types.ts'

class Replicas {
  readonly addresses = new Map<string, string>()
  readonly #listeners = new Set<(name: string) => void>()

  addressOf(name: string): string | undefined {
    return this.addresses.get(name)
  }

  on(change: (name: string) => void): () => void {
    this.#listeners.add(change)
    return () => void this.#listeners.delete(change)
  }

  move(name: string, address: string | undefined): void {
    if (address === undefined) this.addresses.delete(name)
    else this.addresses.set(name, address)
    for (const listener of this.#listeners) listener(name)
  }
}

describe('peers', () => {
  let replicas: Replicas
  let events: string[]
  let down: boolean
  let peers: ReplicaPeers
  let stop: AbortController
  let running: Promise<void>

  beforeEach(() => {
    replicas = new Replicas()
    events = []
    down = false
    stop = new AbortController()
    peers = new ReplicaPeers({
      replicas,
      connect(address): Connection {
        events.push(`dial ${address}`)
        return {
          address,
          client: () => ({ address }) as never,
          ready: () =>
            down
              ? Promise.reject(new GantryError('Unavailable', `${address} does not answer within 1000 ms`))
              : Promise.resolve(),
          onLost: () => undefined,
          close: () => void events.push(`close ${address}`),
        }
      },
    })
    running = peers.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
  })

  it('are reached over one connection each, until they are gone', async () => {
    replicas.move('c2', 'b:1')
    assert.deepEqual(await peers.client('c2', 'Pods'), { address: 'b:1' })
    await peers.client('c2', 'Cluster')
    assert.deepEqual(events, ['dial b:1'])
    replicas.move('c2', 'b:2')
    assert.deepEqual(await peers.client('c2', 'Pods'), { address: 'b:2' })
    assert.deepEqual(events, ['dial b:1', 'close b:1', 'dial b:2'])
    replicas.move('c2', undefined)
    assert.equal(events.at(-1), 'close b:2')
    await assert.rejects(peers.client('c2', 'Pods'), { code: 'Unavailable', message: 'controller c2 is not present' })
  })

  it('are let go at the end', async () => {
    replicas.move('c2', 'b:1')
    await peers.client('c2', 'Pods')
    stop.abort()
    await running
    assert.deepEqual(events, ['dial b:1', 'close b:1'])
  })

  it('say which of them cannot be reached', async () => {
    replicas.move('c2', 'b:1')
    down = true
    await assert.rejects(peers.client('c2', 'Pods'), {
      code: 'Unavailable',
      message: 'controller c2: b:1 does not answer within 1000 ms',
    })
  })
})

describe('a question for the leader', () => {
  const caller = (group: string): CallContext => ({
    signal: new AbortController().signal,
    user: { name: 'x', groups: [group] },
    peer: 'test',
  })
  const answer = (summary: string): WhyResponse => ({ node: '', verdicts: [], summary, time: '' })

  function handlers(leader: string): ClusterHandlers {
    return new ClusterHandlers(
      testRequests({
        authorizer: mastersOnly,
        cluster: {
          controller: 'c1',
          leader: () => leader,
          why: () => answer('own'),
          peers: { client: (name) => Promise.resolve({ why: () => Promise.resolve(answer(`of ${name}`)) } as never) },
        },
      }),
    )
  }

  it('is answered by it, whoever is asked', async () => {
    const request = { namespace: 'default', pod: 'web' }
    assert.equal((await handlers('c1').why(request, caller('system:masters'))).summary, 'own')
    assert.equal((await handlers('c1').why(request, caller('system:controllers'))).summary, 'own')
    assert.equal((await handlers('c2').why(request, caller('system:masters'))).summary, 'of c2')
  })

  it('is not passed on twice, and not while nobody leads', async () => {
    const request = { namespace: 'default', pod: 'web' }
    await assert.rejects(handlers('c2').why(request, caller('system:controllers')), { code: 'Unavailable' })
    await assert.rejects(handlers('').why(request, caller('system:masters')), { code: 'Unavailable' })
  })
})
