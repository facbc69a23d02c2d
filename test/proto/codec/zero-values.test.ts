import assert from 'node:assert/strict'
import { withoutZeroValues } from '../../../proto/codec/zero-values.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'

describe('zero values that nobody meant', () => {
  it('are taken for absent, at any depth', () => {
    const json = {
      metadata: { name: 'web', generateName: '', namespace: '' },
      spec: {
        sessionAffinity: '',
        externalTrafficPolicy: '',
        clusterIP: '',
        ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 0, targetPort: 0 }],
      },
      status: { loadBalancer: {} },
    }
    assert.deepEqual(withoutZeroValues('Service', json), {
      metadata: { name: 'web' },
      spec: { ports: [{ protocol: 'TCP', port: 80 }] },
    })
  })

  it('are those that Go cannot tell from absence; and times that are not set', () => {
    const pod = {
      metadata: { name: 'a', generation: 0, creationTimestamp: '1970-01-01T00:00:00Z' },
      spec: {
        hostNetwork: false,
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'a',
            stdin: false,
            tty: true,
            securityContext: { privileged: false, runAsUser: 0 },
            volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: false }],
          },
        ],
      },
    }
    assert.deepEqual(withoutZeroValues('Pod', pod), {
      metadata: { name: 'a' },
      spec: {
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'a',
            tty: true,
            securityContext: { privileged: false, runAsUser: 0 },
            volumeMounts: [{ name: 'v', mountPath: '/v' }],
          },
        ],
      },
    })
  })

  it('stay where they mean something: numbers that may be 0, items of lists, values of maps', () => {
    const deployment = {
      spec: {
        replicas: 0,
        minReadySeconds: 0,
        template: {
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'a', args: [''], livenessProbe: { periodSeconds: 0, initialDelaySeconds: 0 } }],
          },
        },
      },
    }
    assert.deepEqual(withoutZeroValues('Deployment', deployment), {
      spec: {
        replicas: 0,
        template: {
          spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'a', args: [''], livenessProbe: {} }] },
        },
      },
    })
    assert.deepEqual(withoutZeroValues('ConfigMap', { data: { a: '' }, metadata: { labels: { l: '' } } }), {
      data: { a: '' },
      metadata: { labels: { l: '' } },
    })
  })

  it('are told from absence where Go has a pointer', () => {
    const kept: JsonObject = {
      spec: {
        terminationGracePeriodSeconds: 0,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        containers: [{ name: 'a', securityContext: { allowPrivilegeEscalation: false, runAsUser: 0 } }],
        volumes: [
          { name: 'v', emptyDir: {} },
          { name: 'w', hostPath: { path: '/', type: '' } },
        ],
      },
    }
    assert.deepEqual(withoutZeroValues('Pod', kept), kept)
    const update = { spec: { replicas: 0, strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } } }
    assert.deepEqual(withoutZeroValues('Deployment', update), update)
  })

  it('are values where something must be there: an exit code, the readiness of a container', () => {
    const status = {
      name: 'a',
      ready: false,
      restartCount: 0,
      state: { terminated: { exitCode: 0, signal: 0, reason: '', containerID: '' } },
    }
    assert.deepEqual(withoutZeroValues('ContainerStatus', { ...status, image: '', containerID: '', lastState: {} }), {
      ...status,
      state: { terminated: { exitCode: 0 } },
    })
    assert.deepEqual(withoutZeroValues('ContainerPort', { containerPort: 0 }), {}) // which is none, and missing
  })

  it('go from the JSON schemas of a definition, wherever they stand in it', () => {
    const empty = {
      id: '',
      description: '',
      type: '',
      format: '',
      title: '',
      pattern: '',
      uniqueItems: false,
      exclusiveMaximum: false,
      nullable: false,
      'x-kubernetes-embedded-resource': false,
      'x-kubernetes-int-or-string': false,
    }
    const text = { type: 'string', default: '', minLength: 0 }
    const schema = (inside: object): object => ({
      ...inside,
      properties: { a: { ...inside, ...text } },
      items: { ...inside, ...text },
      additionalProperties: { ...inside, ...text },
      additionalItems: false,
      dependencies: { b: { ...inside, ...text }, c: ['a'] },
      allOf: [{ ...inside, ...text }],
    })
    assert.deepEqual(withoutZeroValues('JSONSchemaProps', schema(empty) as never), schema({}))
    assert.deepEqual(withoutZeroValues('JSONSchemaProps', { items: [{ ...empty, ...text }] }), { items: [text] })
  })
})
