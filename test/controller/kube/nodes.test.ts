import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import type { NodeUsage } from '../../../proto/gen/types.ts'
import { TestApiServer } from './test-api-server.ts'

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
const METRICS = '/apis/metrics.k8s.io/v1beta1'

describe('Kubernetes face: nodes', () => {
  const usages = new Map<string, NodeUsage>()
  let face: TestApiServer

  before(async () => {
    face = await TestApiServer.start({
      parts: {
        usage: {
          of: (node) => {
            const usage = usages.get(node)
            return usage === undefined
              ? Promise.reject(new GantryError('Unavailable', `node ${node} is away`))
              : Promise.resolve(usage)
          },
        },
      },
    })
    await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'kube-node-lease' } } })
    for (const [name, status] of [
      ['n1', 'True'],
      ['n2', 'Unknown'],
    ] as const) {
      const { json } = await face.send('POST', '/api/v1/nodes', {
        body: { metadata: { name, labels: { zone: name } } },
      })
      await face.send('PUT', `/api/v1/nodes/${name}/status`, {
        body: {
          ...json,
          status: { conditions: [{ type: 'Ready', status, lastHeartbeatTime: '2020-01-01T00:00:00Z' }] },
        },
      })
    }
  })
  after(() => face.stop())

  describe('leases', () => {
    it('say that a node lives, and since when it does not', async () => {
      const { status, json } = await face.get(`${LEASES}/n1`)
      assert.equal(status, 200)
      assert.deepEqual(
        [json.kind, json.metadata.namespace, json.spec.holderIdentity, json.spec.leaseDurationSeconds],
        ['Lease', 'kube-node-lease', 'n1', 5],
      )
      assert.equal(Math.floor(Date.parse(json.spec.renewTime as string)), face.clock.now())
      assert.equal((await face.get(`${LEASES}/n2`)).json.spec.renewTime, '2020-01-01T00:00:00.000000Z')
      const missing = await face.get(`${LEASES}/n3`)
      assert.deepEqual([missing.status, missing.json.reason], [404, 'NotFound'])
    })

    it('are listed with those that are stored, which go before them', async () => {
      const names = async (path: string): Promise<string[]> =>
        (await face.get(path)).json.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)
      assert.deepEqual(await names(LEASES), ['n1', 'n2'])
      const renewTime = '2026-11-26T13:00:00.123456Z'
      assert.equal(
        (
          await face.send('POST', LEASES, {
            body: { metadata: { name: 'n2' }, spec: { holderIdentity: 'me', renewTime } },
          })
        ).status,
        201,
      )
      assert.deepEqual((await names('/apis/coordination.k8s.io/v1/leases')).sort(), ['n1', 'n2'])
      assert.equal((await face.get(`${LEASES}/n2`)).json.spec.renewTime, renewTime)
      assert.deepEqual(await names(`${LEASES}?fieldSelector=metadata.name%3Dn1`), ['n1'])
      assert.deepEqual(await names('/apis/coordination.k8s.io/v1/namespaces/default/leases'), [])
    })

    it('serve an election of leaders: a stale holder does not renew', async () => {
      const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
      const { json: first } = await face.send('POST', path, {
        body: {
          metadata: { name: 'leader' },
          spec: {
            holderIdentity: 'a',
            leaseDurationSeconds: 15,
            acquireTime: '2026-01-01T00:00:00.000001Z',
            renewTime: '2026-01-01T00:00:00.000001Z',
            leaseTransitions: 0,
          },
        },
      })
      const taken = await face.send('PUT', `${path}/leader`, {
        body: { ...first, spec: { ...first.spec, holderIdentity: 'b', leaseTransitions: 1 } },
      })
      assert.equal(taken.status, 200)
      const late = await face.send('PUT', `${path}/leader`, {
        body: { ...first, spec: { ...first.spec, renewTime: '2026-01-01T00:00:05.000001Z' } },
      })
      assert.deepEqual([late.status, late.json.reason], [409, 'Conflict'])
      assert.equal((await face.get(`${path}/leader`)).json.spec.holderIdentity, 'b')
    })
  })

  describe('metrics', () => {
    before(async () => {
      const { json } = await face.send('POST', '/api/v1/namespaces/default/pods', {
        body: {
          metadata: { name: 'web', labels: { app: 'web' } },
          spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'busybox' }] },
        },
      })
      const usage = { cpuNanosPerSecond: 250_000_000, memoryBytes: 3 * 1024 }
      usages.set('n1', {
        time: Date.parse('2026-01-01T00:00:00Z'),
        windowMillis: 1500,
        machine: usage,
        pods: [{ uid: json.metadata.uid, containers: [{ name: 'main', usage }] }],
      })
    })

    it('of nodes are those of the nodes that can be asked', async () => {
      const { json } = await face.get(`${METRICS}/nodes`)
      assert.deepEqual(
        json.items.map(({ metadata, usage, window, timestamp }: never) => [
          (metadata as { name: string }).name,
          usage,
          window,
          timestamp,
        ]),
        [['n1', { cpu: '250000000n', memory: '3Ki' }, '1.5s', '2026-01-01T00:00:00Z']],
      )
      assert.equal((await face.get(`${METRICS}/nodes/n1`)).json.kind, 'NodeMetrics')
      assert.deepEqual((await face.get(`${METRICS}/nodes?labelSelector=zone%3Dn2`)).json.items, [])
      assert.equal((await face.get(`${METRICS}/nodes/n2`)).status, 503)
      assert.equal((await face.get(`${METRICS}/nodes/n3`)).status, 404)
    })

    it('of pods are those of their containers', async () => {
      const { json } = await face.get(`${METRICS}/namespaces/default/pods?labelSelector=app%3Dweb`)
      assert.deepEqual(
        json.items.map(({ metadata, containers }: never) => [(metadata as { name: string }).name, containers]),
        [['web', [{ name: 'main', usage: { cpu: '250000000n', memory: '3Ki' } }]]],
      )
      assert.equal((await face.get(`${METRICS}/namespaces/default/pods/web`)).json.kind, 'PodMetrics')
      assert.equal((await face.get(`${METRICS}/namespaces/default/pods/none`)).status, 404)
    })
  })
})
