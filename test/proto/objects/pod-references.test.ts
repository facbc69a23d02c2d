import assert from 'node:assert/strict'
import { hasConfiguredEnvironment, podReferences, serviceAccountName } from '../../../proto/objects/pod-references.ts'
import type { Container, PodSpec, Volume } from '../../../proto/gen/types.ts'
import { container, pod } from './pods.ts'

type Expected = Partial<Record<'configMaps' | 'secrets' | 'claims' | 'tokens', unknown[]>>

const withContainer = (fields: Partial<Container>): Partial<PodSpec> => ({ containers: [container('main', fields)] })
const withVolume = (source: Omit<Volume, 'name'>): Partial<PodSpec> => ({ volumes: [{ name: 'v', ...source }] })

describe('what a pod refers to', () => {
  const env: Partial<Container> = {
    env: [
      { name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } },
      { name: 'B', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional: true } } },
      { name: 'C', value: 'x' },
      { name: 'D', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
    ],
  }
  for (const [where, spec, expected] of [
    ['nowhere', {}, {}],
    ['env', withContainer(env), { configMaps: ['c'], secrets: ['s'] }],
    [
      'envFrom',
      withContainer({ envFrom: [{ configMapRef: { name: 'c' } }, { secretRef: { name: 's' } }] }),
      { configMaps: ['c'], secrets: ['s'] },
    ],
    ['init containers', { initContainers: [container('i', env)] }, { configMaps: ['c'], secrets: ['s'] }],
    [
      'ephemeral containers',
      { ephemeralContainers: [container('e', env) as never] },
      { configMaps: ['c'], secrets: ['s'] },
    ],
    ['a ConfigMap volume', withVolume({ configMap: { name: 'c', defaultMode: 0o644 } }), { configMaps: ['c'] }],
    ['a Secret volume', withVolume({ secret: { secretName: 's', defaultMode: 0o644 } }), { secrets: ['s'] }],
    [
      'projected volumes',
      withVolume({
        projected: {
          defaultMode: 0o644,
          sources: [
            { configMap: { name: 'c' } },
            { secret: { name: 's' } },
            { downwardAPI: { items: [] } },
            { serviceAccountToken: { path: 'a', expirationSeconds: 600, audience: 'vault' } },
            { serviceAccountToken: { path: 'b' } as never },
            { serviceAccountToken: { path: 'c', expirationSeconds: 3600 } },
          ],
        },
      }),
      {
        configMaps: ['c'],
        secrets: ['s'],
        tokens: [
          { audience: 'vault', expirationSeconds: 600 },
          { audience: '', expirationSeconds: 3600 },
        ],
      },
    ],
    ['claims', withVolume({ persistentVolumeClaim: { claimName: 'data' } }), { claims: ['data'] }],
    ['other volumes', withVolume({ emptyDir: {} }), {}],
    ['image pulls', { imagePullSecrets: [{ name: 'registry' }, { name: '' }, {}] }, { secrets: ['registry'] }],
    [
      'several places at once',
      { ...withContainer(env), imagePullSecrets: [{ name: 's' }], initContainers: [container('i', env)] },
      { configMaps: ['c'], secrets: ['s'] },
    ],
    ['an empty name', withContainer({ envFrom: [{ configMapRef: { name: '' } }, { secretRef: {} }] }), {}],
  ] as [string, Partial<PodSpec>, Expected][]) {
    it(`is found in ${where}`, () => {
      const { configMaps, secrets, claims, tokens } = podReferences(pod({ spec }))
      assert.deepEqual(
        { configMaps: [...configMaps], secrets: [...secrets], claims: [...claims], tokens },
        { configMaps: [], secrets: [], claims: [], tokens: [], ...expected },
      )
    })
  }

  it('includes its account, under the old name too', () => {
    for (const [fields, expected] of [
      [{}, 'default'],
      [{ serviceAccountName: 'a' }, 'a'],
      [{ serviceAccountName: '', serviceAccount: 'b' }, 'b'],
      [{ serviceAccountName: 'a', serviceAccount: 'b' }, 'a'],
    ] as [Partial<PodSpec>, string][]) {
      assert.equal(serviceAccountName(fields), expected)
      assert.equal(podReferences(pod({ spec: fields })).serviceAccount, expected)
    }
  })

  it('is in the environment only where a variable has a value of a ConfigMap or Secret', () => {
    assert.equal(hasConfiguredEnvironment(pod({ spec: withContainer(env) })), true)
    assert.equal(hasConfiguredEnvironment(pod({ spec: { initContainers: [container('i', env)] } })), true)
    assert.equal(
      hasConfiguredEnvironment(pod({ spec: withVolume({ configMap: { name: 'c', defaultMode: 0o644 } }) })),
      false,
    )
  })

  it('is found out once for each spec', () => {
    const it_ = pod()
    assert.equal(podReferences(it_), podReferences({ spec: it_.spec }))
  })
})
