import assert from 'node:assert/strict'
import { mayNodeSetLabel } from '../../../proto/objects/node-labels.ts'

describe('labels that a node may give to itself', () => {
  for (const key of [
    'kubernetes.io/hostname',
    'kubernetes.io/arch',
    'kubernetes.io/os',
    'beta.kubernetes.io/arch',
    'beta.kubernetes.io/os',
    'node.kubernetes.io/instance-type',
    'beta.kubernetes.io/instance-type',
    'topology.kubernetes.io/zone',
    'topology.kubernetes.io/region',
    'failure-domain.beta.kubernetes.io/zone',
    'failure-domain.beta.kubernetes.io/region',
    'node.kubernetes.io/anything',
    'sub.node.kubernetes.io/anything',
    'kubelet.kubernetes.io/anything',
    'sub.kubelet.kubernetes.io/anything',
    'zone',
    'disk',
    'example.com/disk',
    'notkubernetes.io/x',
    'notgantry.dev/x',
    'kubernetes.io.example.com/x',
  ])
    it(`${key}: yes`, () => assert.ok(mayNodeSetLabel(key)))

  for (const key of [
    'node-restriction.kubernetes.io/x',
    'sub.node-restriction.kubernetes.io/x',
    'node-role.kubernetes.io/control-plane',
    'kubernetes.io/x',
    'topology.kubernetes.io/rack',
    'sub.kubernetes.io/x',
    'k8s.io/x',
    'sub.k8s.io/x',
    'kubernetes.io/role',
    'gantry.dev/entrance',
    'gantry.dev/x',
    'sub.gantry.dev/x',
  ])
    it(`${key}: no`, () => assert.ok(!mayNodeSetLabel(key)))
})
