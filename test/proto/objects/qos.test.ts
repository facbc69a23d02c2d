import assert from 'node:assert/strict'
import { qosClassOf } from '../../../proto/objects/qos.ts'
import type { Container } from '../../../proto/gen/types.ts'
import { qosClassOf as qosClassOfNode } from '../../../agent/pods/steps/qos.ts'
import { makeContainer, makePod } from '../../agent/fakes.ts'

describe('quality of service', () => {
  it('is the same for the control plane and for the node', () => {
    for (const [resources, expected] of [
      [{}, 'BestEffort'],
      [{ requests: { cpu: '0', memory: '0' } }, 'BestEffort'],
      [{ requests: { 'example.com/gpu': '1' }, limits: { 'example.com/gpu': '1' } }, 'BestEffort'],
      [{ requests: { cpu: '1' } }, 'Burstable'],
      [{ requests: { cpu: '1', memory: '1Gi' }, limits: { memory: '1Gi' } }, 'Burstable'],
      [{ limits: { cpu: '0', memory: '1Gi' } }, 'Burstable'],
      [{ requests: { cpu: '1000m' }, limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'],
    ] as [Container['resources'], string][]) {
      const pod = makePod('web', { containers: [makeContainer('main', { resources })] })
      assert.deepEqual([qosClassOf(pod.spec), qosClassOfNode(pod)], [expected, expected], JSON.stringify(resources))
    }
  })
})
