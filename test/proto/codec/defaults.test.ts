import assert from 'node:assert/strict'
import fc from 'fast-check'
import { clone } from '../../../proto/base/clone.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { defaultFiller } from '../../../proto/gen/defaults.ts'
import { jsonTree } from '../../../proto/gen/json-trees.ts'
import { schema } from '../../../proto/schema/schema.ts'
import type { JsonObject, Pod, Resources } from '../../../proto/gen/types.ts'
import { messageOf, type Fields } from './arbitrary-messages.ts'
import { interpretDefaults } from './oracle/defaults.ts'

function pod(spec: JsonObject): Pod {
  return applyDefaults(decodeJson('Pod', { metadata: { name: 'p' }, spec }))
}

function deployment(spec: JsonObject): Resources['Deployment'] {
  return applyDefaults(decodeJson('Deployment', { metadata: { name: 'd' }, spec }))
}

describe('applyDefaults', () => {
  it('fills in the defaults of the schema, at every depth', () => {
    const { spec } = pod({
      containers: [
        {
          name: 'c',
          image: 'busybox:1',
          ports: [{ containerPort: 80 }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
        },
      ],
      volumes: [
        { name: 'v', secret: { secretName: 's' } },
        { name: 'h', hostPath: { path: '/' } },
      ],
    })
    assert.deepEqual(spec, {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      securityContext: {},
      schedulerName: 'default-scheduler',
      enableServiceLinks: true,
      volumes: [
        { name: 'v', secret: { secretName: 's', defaultMode: 0o644 } },
        { name: 'h', hostPath: { path: '/', type: '' } },
      ],
      containers: [
        {
          name: 'c',
          image: 'busybox:1',
          imagePullPolicy: 'IfNotPresent',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          resources: {},
          ports: [{ containerPort: 80, protocol: 'TCP' }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } } }],
        },
      ],
    })
  })

  it('shows that pods have variables for Services, and leaves templates as they are written', () => {
    assert.equal(pod({ containers: [], enableServiceLinks: false }).spec.enableServiceLinks, false)
    assert.equal(
      deployment({ template: { spec: { containers: [] } } }).spec.template.spec.enableServiceLinks,
      undefined,
    )
  })

  it('keeps what is said, also zero, false and empty', () => {
    const { spec } = deployment({
      replicas: 0,
      revisionHistoryLimit: 0,
      template: { spec: { terminationGracePeriodSeconds: 0, containers: [] } },
    })
    assert.deepEqual(
      [spec.replicas, spec.revisionHistoryLimit, spec.template.spec.terminationGracePeriodSeconds],
      [0, 0, 0],
    )
  })

  it('changes nothing the second time', () => {
    const once = deployment({
      template: {
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1' } } }] },
      },
    })
    assert.deepEqual(applyDefaults(structuredClone(once)), once)
  })

  const policies: [string, string][] = [
    ['busybox', 'Always'],
    ['busybox:latest', 'Always'],
    ['busybox:1.36', 'IfNotPresent'],
    ['localhost:5000/a', 'Always'],
    ['localhost:5000/a:2', 'IfNotPresent'],
    [`a@sha256:${'0'.repeat(64)}`, 'IfNotPresent'],
    [`a:latest@sha256:${'0'.repeat(64)}`, 'IfNotPresent'],
  ]
  for (const [image, policy] of policies) {
    it(`pulls ${image.slice(0, 24)} ${policy}`, () =>
      assert.equal(
        pod({ containers: [{ name: 'c', image }], initContainers: [{ name: 'i', image }] }).spec.initContainers![0]!
          .imagePullPolicy,
        policy,
      ))
  }

  it('requests the limit of each resource that is not requested', () => {
    const { spec } = pod({
      containers: [{ name: 'c', resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '100m' } } }],
    })
    assert.deepEqual(spec.containers[0]!.resources, {
      limits: { cpu: '2', memory: '1Gi' },
      requests: { cpu: '100m', memory: '1Gi' },
    })
  })

  it('requests nothing in a template, so that a lower limit can be applied to it', () => {
    const resources = { limits: { cpu: '2' } }
    const { template } = deployment({
      template: { spec: { containers: [{ name: 'c', resources }], initContainers: [{ name: 'i', resources }] } },
    }).spec
    assert.deepEqual(
      [...template.spec.containers, ...template.spec.initContainers!].map((container) => container.resources),
      [resources, resources],
    )
  })

  it('makes a volume without a source an empty directory', () => {
    assert.deepEqual(pod({ containers: [], volumes: [{ name: 'v' }, { name: 'w', emptyDir: null }] }).spec.volumes, [
      { name: 'v', emptyDir: {} },
      { name: 'w', emptyDir: {} },
    ])
  })

  it('rolls out by quarters, unless the strategy is another', () => {
    assert.deepEqual(deployment({}).spec.strategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' },
    })
    assert.deepEqual(deployment({ strategy: { rollingUpdate: { maxSurge: 2 } } }).spec.strategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: 2, maxUnavailable: '25%' },
    })
    assert.deepEqual(deployment({ strategy: { type: 'Recreate' } }).spec.strategy, { type: 'Recreate' })
  })

  it('puts the texts of a Secret into its data', () => {
    const secret = applyDefaults(
      decodeJson('Secret', { metadata: { name: 's' }, data: { a: 'eA==', b: 'eA==' }, stringData: { b: 'é', c: '' } }),
    )
    assert.deepEqual(
      [secret.data, secret.stringData, secret.type],
      [{ a: 'eA==', b: 'w6k=', c: '' }, undefined, 'Opaque'],
    )
  })

  it('labels a namespace with its name', () => {
    assert.deepEqual(
      applyDefaults(decodeJson('Namespace', { metadata: { name: 'n', labels: { a: 'b' } } })).metadata.labels,
      { a: 'b', 'kubernetes.io/metadata.name': 'n' },
    )
  })

  /** The object with its defaults, or what was thrown. */
  function outcome(object: object, fill: (object: object) => void): unknown {
    const filled = clone(object)
    try {
      fill(filled)
      return filled
    } catch (thrown) {
      assert(thrown instanceof TypeError)
      return 'refused'
    }
  }

  it('fills in what the schema says, of every message', () => {
    for (const name of Object.keys(schema.messages).filter((name) => jsonTree(name) !== undefined)) {
      const fill = defaultFiller(name) ?? (() => undefined)
      fc.assert(
        fc.property(messageOf(name), (object) =>
          assert.deepEqual(
            outcome(object, fill),
            outcome(object, (copy) => interpretDefaults(name, copy as Fields)),
          ),
        ),
        { numRuns: 15 },
      )
    }
  })
})
