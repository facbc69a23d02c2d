import assert from 'node:assert/strict'
import type { PodStreams } from '../../../controller/dispatch/pod-streams.ts'
import { TestApiServer } from './test-api-server.ts'
import { Kubectl } from './kubectl.ts'
import { FakePodStreams } from './streams/fixture.ts'

describe('Kubernetes face: kubectl cluster-info dump', () => {
  let face: TestApiServer
  let kubectl: Kubectl
  before(async () => {
    const events = { list: () => Promise.resolve({ events: [], after: 0 }) }
    face = await TestApiServer.start({
      parts: { pods: new FakePodStreams() as unknown as PodStreams, events: events as never },
    })
    kubectl = await Kubectl.of(face)
    for (const [name, nodeName] of [
      ['placed', 'n1'],
      ['pending', undefined],
    ] as const) {
      await face.send('POST', '/api/v1/namespaces/default/pods', {
        body: {
          metadata: { name },
          spec: { ...(nodeName !== undefined && { nodeName }), containers: [{ name: 'main', image: 'busybox' }] },
        },
      })
    }
  })
  after(async () => {
    await kubectl.stop()
    await face.stop()
  })

  it('shows everything, and the logs that there are', async () => {
    const { code, stdout, stderr } = await kubectl.run(['cluster-info', 'dump', '--all-namespaces'])
    assert.equal(code, 0, stderr)
    for (const kind of [
      'NodeList',
      'EventList',
      'ReplicationControllerList',
      'ServiceList',
      'DaemonSetList',
      'DeploymentList',
      'ReplicaSetList',
      'PodList',
    ])
      assert.match(stdout, new RegExp(`"kind": "${kind}"`))
    assert.match(stdout, /==== START logs for container main of pod default\/placed ====\nline\n==== END logs/)
  })

  it('finds kinds there that discovery does not name, and that cannot be made', async () => {
    const { json } = await face.get('/apis/apps/v1')
    assert.equal(
      (json.resources as { name: string }[]).some(({ name }) => name === 'daemonsets'),
      false,
    )
    assert.deepEqual((await face.get('/apis/apps/v1/daemonsets')).json.items, [])
    assert.equal((await face.send('POST', '/apis/apps/v1/namespaces/default/daemonsets', { body: {} })).status, 405)
    assert.match(
      (await kubectl.run(['get', 'daemonsets'])).stderr,
      /the server doesn't have a resource type "daemonsets"/,
    )
  })
})
