import assert from 'node:assert/strict'
import { connect, Server } from '../../../proto/rpc/rpc.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import { transportSuite } from '../../contract/transport.ts'

describe('rpc', () => {
  transportSuite(() => ({
    server: (authorize) => new Server({ address: '127.0.0.1:0', ...(authorize !== undefined && { authorize }) }),
    connect: (address) => connect(address),
    nowhere: '127.0.0.1:1',
  }))

  it('keeps an object through its bytes', () => {
    const bytes = encodeResource({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'a',
        namespace: 'default',
        uid: 'u',
        resourceVersion: '7',
        creationTimestamp: '2026-01-31T12:00:00Z',
      },
      spec: {
        containers: [
          {
            name: 'c',
            image: 'busybox',
            resources: { limits: { cpu: '100m' } },
            livenessProbe: {
              httpGet: { port: 'web', path: '/', scheme: 'HTTP' },
              timeoutSeconds: 1,
              periodSeconds: 10,
              successThreshold: 1,
              failureThreshold: 3,
            },
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
      status: { timeline: [{ step: 'accepted', time: '2026-01-31T12:00:00.125000Z' }] },
    } as never)
    const pod = decodeResource('Pod', bytes, '9')
    assert.equal(pod.metadata.resourceVersion, '9')
    assert.deepEqual(pod.spec.volumes, [{ name: 'v', emptyDir: {} }])
    assert.equal(pod.spec.containers[0]?.resources.limits?.cpu, '100m')
    assert.equal(pod.spec.containers[0]?.livenessProbe?.httpGet?.port, 'web')
    assert.equal(pod.status.timeline?.[0]?.time, '2026-01-31T12:00:00.125000Z')
  })
})
