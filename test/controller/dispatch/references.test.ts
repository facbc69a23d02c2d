import assert from 'node:assert/strict'
import { referencesOf } from '../../../controller/dispatch/references.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'

describe('references of a pod', () => {
  it('finds every ConfigMap and Secret that it uses, wherever it is named', () => {
    const pod = decodeJson('Pod', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a' },
      spec: {
        imagePullSecrets: [{ name: 'pull' }],
        initContainers: [
          { name: 'i', image: 'x', env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'init', key: 'k' } } }] },
        ],
        containers: [
          {
            name: 'c',
            image: 'x',
            envFrom: [{ configMapRef: { name: 'all' } }, { secretRef: { name: 'hidden' } }],
            env: [{ name: 'B', valueFrom: { secretKeyRef: { name: 'one', key: 'k' } } }],
          },
        ],
        volumes: [
          { name: 'v', configMap: { name: 'files' } },
          { name: 'w', secret: { secretName: 'keys' } },
          { name: 'p', projected: { sources: [{ configMap: { name: 'part' } }, { secret: { name: 'piece' } }] } },
        ],
      },
    })
    const { configMaps, secrets } = referencesOf(pod)
    assert.deepEqual([...configMaps].sort(), ['all', 'files', 'init', 'part'])
    assert.deepEqual([...secrets].sort(), ['hidden', 'keys', 'one', 'piece', 'pull'])
  })
})
