import assert from 'node:assert/strict'
import { withoutZeroValues } from '../../proto/api/zero-values.ts'

describe('zero values that nobody meant', () => {
  it('are taken for absent, at any depth', () => {
    const json = {
      metadata: { name: 'web', generateName: '', namespace: '' },
      spec: { sessionAffinity: '', externalTrafficPolicy: '', clusterIP: '', ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0 }] },
      status: { loadBalancer: {} },
    }
    assert.deepEqual(withoutZeroValues('Service', json), { metadata: { name: 'web' }, spec: { ports: [{ protocol: 'TCP', port: 80 }] }, status: { loadBalancer: {} } })
  })

  it('are those that Go cannot tell from absence; and times that are not set', () => {
    const pod = { metadata: { name: 'a', generation: 0, creationTimestamp: '1970-01-01T00:00:00Z' }, spec: { hostNetwork: false, automountServiceAccountToken: false, containers: [{ name: 'a', stdin: false, tty: true, securityContext: { privileged: false, runAsUser: 0 }, volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: false }] }] } }
    assert.deepEqual(withoutZeroValues('Pod', pod), { metadata: { name: 'a' }, spec: { automountServiceAccountToken: false, containers: [{ name: 'a', tty: true, securityContext: { privileged: false, runAsUser: 0 }, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] } })
  })

  it('stay where they mean something: numbers that may be 0, items of lists, values of maps', () => {
    const deployment = { spec: { replicas: 0, minReadySeconds: 0, template: { spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'a', args: [''], livenessProbe: { periodSeconds: 0, initialDelaySeconds: 0 } }] } } } }
    assert.deepEqual(withoutZeroValues('Deployment', deployment), { spec: { replicas: 0, template: { spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'a', args: [''], livenessProbe: {} }] } } } })
    assert.deepEqual(withoutZeroValues('ConfigMap', { data: { a: '' }, metadata: { labels: { l: '' } } }), { data: { a: '' }, metadata: { labels: { l: '' } } })
  })
})
