import assert from 'node:assert/strict'
import fc from 'fast-check'
import { podLimits, podRequests } from '../../../proto/objects/pod-resources.ts'
import { qosClassOf } from '../../../proto/objects/qos.ts'
import type { Container, PodSpec, ResourceRequirements } from '../../../proto/gen/types.ts'
import { container, limited, pod } from './pods.ts'

const classOf = (spec: Partial<PodSpec>): string => qosClassOf(pod({ spec }).spec)

describe('quality of service', () => {
  for (const [resources, expected] of [
    [{}, 'BestEffort'],
    [{ requests: { cpu: '0', memory: '0' } }, 'BestEffort'],
    [{ requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } }, 'BestEffort'],
    [{ requests: { cpu: '1' } }, 'Burstable'],
    [{ limits: { cpu: '1' } }, 'Burstable'],
    [{ requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } }, 'Burstable'],
    [{ limits: { cpu: '0', memory: '1Gi' } }, 'Burstable'],
    [{ requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } }, 'Burstable'],
    [{ requests: { cpu: '0' }, limits: { cpu: '1', memory: '1Gi' } }, 'Burstable'],
    [{ limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'],
    [{ requests: { cpu: '1', memory: '1024Mi' }, limits: { cpu: '1000m', memory: '1Gi' } }, 'Guaranteed'],
    // Validation refuses amounts of cpu as fine as these; where one is read all the same, it counts as the next
    // thousandth.
    [{ requests: { cpu: '1m' }, limits: { cpu: '100u', memory: '1Gi' } }, 'Guaranteed'],
    [{ requests: { cpu: '1m' }, limits: { cpu: '1100u', memory: '1Gi' } }, 'Burstable'],
  ] as [ResourceRequirements, string][]) {
    it(`of ${JSON.stringify(resources)} is ${expected}`, () =>
      assert.equal(classOf({ containers: [container('main', { resources })] }), expected))
  }

  const full = limited('a', { cpu: '1', memory: '1Gi' })
  for (const [what, spec, expected] of [
    ['two that are limited in full', { containers: [full, full] }, 'Guaranteed'],
    ['one that is and one that is not', { containers: [full, container('b')] }, 'Burstable'],
    ['an init container that is not', { containers: [full], initContainers: [container('i')] }, 'Burstable'],
    ['an init container that states something', { initContainers: [limited('i', { cpu: '1' })] }, 'Burstable'],
    [
      'a pod that is limited as a whole',
      { resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } } },
      'Guaranteed',
    ],
    ['a pod that states less as a whole', { containers: [full], resources: { requests: { cpu: '1' } } }, 'Burstable'],
  ] as [string, Partial<PodSpec>, string][]) {
    it(`of ${what} is ${expected}`, () => assert.equal(classOf(spec), expected))
  }

  const amount = fc.constantFrom(undefined, '0', '100u', '1m', '500m', '1')
  const list = fc
    .record({ cpu: amount, memory: amount }, { noNullPrototype: true })
    .map((amounts) => Object.fromEntries(Object.entries(amounts).filter(([, text]) => text !== undefined)))
  const containers = (prefix: string, minLength: number): fc.Arbitrary<Container[]> =>
    fc
      .array(fc.record({ limits: list, requests: list }, { noNullPrototype: true }), { minLength, maxLength: 3 })
      .map((all) => all.map((resources, index) => container(`${prefix}${index}`, { resources } as Partial<Container>)))
  const specs = fc
    .tuple(containers('c', 1), containers('i', 0))
    .map(([main, initContainers]) => pod({ spec: { containers: main, initContainers } }).spec)

  it('says what the sums say', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const [requests, limits] = [podRequests({ spec }), podLimits({ spec })]
        switch (qosClassOf(spec)) {
          case 'BestEffort':
            for (const sum of [...Object.values(requests), ...Object.values(limits)]) assert.equal(sum, '0')
            break
          case 'Guaranteed':
            for (const name of ['cpu', 'memory']) {
              assert.notEqual(requests[name], '0')
              assert.equal(requests[name], limits[name])
            }
            break
          case 'Burstable':
            assert.ok([...Object.values(requests), ...Object.values(limits)].some((sum) => sum !== '0'))
        }
      }),
    )
  })

  it('does not depend on the order of containers', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        assert.equal(qosClassOf({ ...spec, containers: [...spec.containers].reverse() }), qosClassOf(spec))
      }),
    )
  })
})
