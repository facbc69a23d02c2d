import assert from 'node:assert/strict'
import { checkOf } from '../../../deploy/rig/until.ts'
import { objectNamed } from '../../../deploy/rig/objects.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'

function pod(phase: string, ready: boolean): AnyResource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'default', generation: 1 },
    spec: { containers: [] },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  } as unknown as AnyResource
}

function deployment(status: object): AnyResource {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'a', namespace: 'default', generation: 2 },
    spec: { replicas: 2, selector: {}, template: {} },
    status,
  } as unknown as AnyResource
}

const ROLLED = {
  observedGeneration: 2,
  replicas: 2,
  updatedReplicas: 2,
  availableReplicas: 2,
  conditions: [{ type: 'Available', status: 'True' }],
}

describe('what an object is waited for', () => {
  const cases: [string, AnyResource | undefined, boolean][] = [
    ['Deleted', undefined, true],
    ['Deleted', pod('Running', true), false],
    ['Created', undefined, false],
    ['created', pod('Pending', false), true],
    ['Running', pod('Running', false), true],
    ['Running', pod('Pending', false), false],
    ['Running', undefined, false],
    ['Ready', pod('Running', false), false],
    ['Ready', pod('Running', true), true],
    ['Ready', deployment(ROLLED), true],
    ['Running', deployment({ ...ROLLED, availableReplicas: 1 }), false],
    ['Available', deployment(ROLLED), true],
    ['Available', deployment({ ...ROLLED, observedGeneration: 1 }), false],
    ['Available=False', deployment({ ...ROLLED, conditions: [{ type: 'Available', status: 'False' }] }), true],
    ['condition=available', deployment(ROLLED), true],
    ['{.status.phase}=Running', pod('Running', true), true],
    ['jsonpath={.status.phase}=Pending', pod('Running', true), false],
    ['{.status.nothing}', pod('Running', true), false],
  ]
  for (const [goal, object, reached] of cases) {
    it(`${goal} of ${object === undefined ? 'nothing' : JSON.stringify(object.kind === 'Pod' ? (object as { status: object }).status : object.kind)}: ${reached}`, () =>
      assert.equal(checkOf(goal)(object), reached))
  }

  it('a function', () => {
    assert.equal(checkOf((object) => object.metadata.name === 'a')(pod('Running', true)), true)
    assert.equal(checkOf(() => true)(undefined), false)
  })
})

describe('an object named by its type', () => {
  it('is found by the words of the command line', () => {
    assert.deepEqual(objectNamed('deploy/web', undefined, SCHEMA_KINDS), {
      kind: 'Deployment',
      namespace: 'default',
      name: 'web',
    })
    assert.deepEqual(objectNamed('pod/web', 'shop', SCHEMA_KINDS), { kind: 'Pod', namespace: 'shop', name: 'web' })
    assert.deepEqual(objectNamed('node/n1', 'shop', SCHEMA_KINDS), { kind: 'Node', namespace: '', name: 'n1' })
  })

  it('is refused without a type, or with one that is none', () => {
    for (const text of ['pods/', 'deplyoment/web', 'a/b/c'])
      assert.throws(
        () => objectNamed(text, undefined, SCHEMA_KINDS),
        (thrown) => GantryError.is(thrown, 'InvalidArgument'),
        text,
      )
  })
})
