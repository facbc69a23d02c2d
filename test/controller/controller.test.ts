import assert from 'node:assert/strict'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { encodeJson } from '../../proto/codec/codec.ts'
import type { JsonObject, Pod } from '../../proto/gen/types.ts'
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

  it('ask one authorizer at the door and in the expressions of policies', async () => {
    const cluster = await start(1)
    const client = cluster.client()
    const admission = 'admissionregistration.k8s.io/v1'
    const expression =
      "authorizer.group('').resource('nodes').subresource('session').name('n1').check('create').allowed()"
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }
    await cluster.settled(
      client.apply('ValidatingAdmissionPolicy', '', 'p', {
        apiVersion: admission,
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name: 'p' },
        spec: {
          matchConstraints: { resourceRules: [rule] },
          validations: [{ expression, message: 'an administrator is no node' }],
        },
      }),
    )
    await cluster.settled(
      client.apply('ValidatingAdmissionPolicyBinding', '', 'b', {
        apiVersion: admission,
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name: 'b' },
        spec: { policyName: 'p', validationActions: ['Deny'] },
      }),
    )
    const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' } }
    await assert.rejects(
      cluster.settled(client.apply('ConfigMap', 'default', 'c', config)),
      /an administrator is no node/,
    )
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

  it('know a kind by what their own cluster defines of it, and each replica for itself', async () => {
    const [one, other] = [await start(3), await start(1)]
    const [client, otherClient] = [one.client(), other.client()]
    const gadgets = (fields: JsonObject): JsonObject => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'gadgets.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'gadgets', singular: 'gadget', kind: 'Gadget' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: fields } } },
            },
          },
        ],
      },
    })
    for (const [cluster, sender, field] of [
      [one, client, 'size'],
      [other, otherClient, 'color'],
    ] as const) {
      const definition = gadgets({ [field]: { type: 'string', default: `a ${field}` } })
      await cluster.settled(sender.apply('CustomResourceDefinition', '', 'gadgets.example.com', definition))
      await cluster.until('every replica knows the kind', () =>
        cluster.controllers.every(({ controller }) => controller.informer.kinds.find('example.com/v1', 'Gadget')),
      )
    }
    const made = async (cluster: MemoryCluster): Promise<unknown> => {
      const { api, informer } = cluster.controllers[0]!.controller
      const kind = informer.kinds.find('example.com/v1', 'Gadget')!
      const metadata = { name: 'g', namespace: 'default' }
      const draft = { apiVersion: 'example.com/v1', kind, metadata, spec: { size: 'x', color: 'y' } }
      const object = await cluster.settled(api.create(draft as never, { fieldManager: 'test' }))
      return encodeJson(object as never).spec
    }
    assert.deepEqual(await made(one), { size: 'x' })
    assert.deepEqual(await made(other), { color: 'y' })
    const ids = [...one.controllers, ...other.controllers].map(({ controller }) =>
      controller.informer.kinds.find('example.com/v1', 'Gadget'),
    )
    assert.equal(new Set(ids).size, 4)
    await other.settled(otherClient.delete('CustomResourceDefinition', '', 'gadgets.example.com'))
    await other.until('the kind is gone', () =>
      other.controllers.every(({ controller }) => !controller.informer.kinds.find('example.com/v1', 'Gadget')),
    )
    for (const { controller } of one.controllers) {
      const kind = controller.informer.kinds.find('example.com/v1', 'Gadget')!
      assert.deepEqual(
        controller.informer
          .lister(kind)
          .list()
          .map((object) => (encodeJson(object as never).spec as JsonObject).size),
        ['x'],
      )
    }
  })
})
