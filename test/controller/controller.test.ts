import assert from 'node:assert/strict'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { MemoryCluster } from '../support/memory-cluster.ts'

const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 4,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'c', image: 'one', resources: { requests: { cpu: '100m' } } }] },
    },
  },
}

describe('controllers in one process', () => {
  const clusters: MemoryCluster[] = []
  const start = async (controllers: number): Promise<MemoryCluster> => {
    const cluster = await MemoryCluster.start(controllers)
    clusters.push(cluster)
    return cluster
  }

  afterEach(async () => {
    for (const cluster of clusters.splice(0)) await cluster.stop()
  })

  const apply = (cluster: MemoryCluster, client: ClusterClient, replicas: number): Promise<unknown> =>
    cluster.settled(
      client.apply('Deployment', 'default', 'web', { ...DEPLOYMENT, spec: { ...DEPLOYMENT.spec, replicas } }),
    )

  const pods = async (cluster: MemoryCluster, client: ClusterClient): Promise<Pod[]> =>
    (await cluster.settled(client.list('Pod', { namespace: 'default' }))).items

  const available = (cluster: MemoryCluster, replicas: number): Promise<void> =>
    cluster.until(`${replicas} replicas are available`, () =>
      cluster.controllers.every(({ controller }) => {
        const { spec, status } = controller.informer.lister('Deployment').get('default', 'web') ?? {}
        return spec?.replicas === replicas && status?.availableReplicas === replicas
      }),
    )

  it('make a cluster: what is applied at one runs on the nodes of all, also when the leader ends', async () => {
    const cluster = await start(3)
    const nodes = ['n1', 'n2'].map((name) => cluster.addNode(name))
    const client = cluster.client()
    await apply(cluster, client, 4)
    await available(cluster, 4)
    const bound = await pods(cluster, client)
    assert.deepEqual(bound.map(({ spec }) => spec.nodeName).sort(), ['n1', 'n1', 'n2', 'n2'])
    assert.deepEqual(
      nodes.flatMap(({ running }) => running).sort(),
      bound.map(({ metadata }) => metadata.name),
    )
    const terms = [cluster.leader!.name]
    for (const [end, replicas] of [
      ['stop', 6],
      ['kill', 8],
    ] as const) {
      await cluster.leader![end]()
      await cluster.until('another leads', () => cluster.leader !== undefined)
      terms.push(cluster.leader!.name)
      await apply(cluster, cluster.client(), replicas)
      await available(cluster, replicas)
    }
    assert.equal(new Set(terms).size, 3)
    assert.equal(nodes.flatMap(({ running }) => running).length, 8)
  })

  it('tell of events and answer for each other', async () => {
    const cluster = await start(3)
    cluster.addNode('n1')
    const client = cluster.client()
    await apply(cluster, client, 1)
    await available(cluster, 1)
    const other = cluster.controllers.find((controller) => controller !== cluster.leader)!
    const asked = cluster.network
      .host('desk')
      .connect(`${other.name}:7443`, { user: { name: 'admin', groups: ['system:masters'] } })
    const [{ metadata }] = (await pods(cluster, client)) as [Pod]
    const why = await cluster.settled(asked.client('Cluster').why({ namespace: 'default', pod: metadata.name }))
    assert.equal(why.node, 'n1')
    const { events } = await cluster.events.list({ namespace: 'default', kind: 'Pod', name: metadata.name })
    assert.ok(events.some(({ reason }) => reason === 'Scheduled'))
  })

  it('share nothing with another cluster beside them', async () => {
    const [one, other] = [await start(1), await start(1)]
    const [client, otherClient] = [one.client(), other.client()]
    one.addNode('n1')
    await apply(one, client, 1)
    await available(one, 1)
    assert.deepEqual(await pods(other, otherClient), [])
    assert.equal(await other.settled(otherClient.find('Deployment', 'default', 'web')), undefined)
    assert.deepEqual((await other.events.list({})).events, [])
    other.addNode('n1')
    await apply(other, otherClient, 2)
    await available(other, 2)
    assert.equal((await pods(one, client)).length, 1)
  })
})
