import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { fillZeroValues, prepareForCreate, prepareForUpdate } from '../../../controller/api/admission.ts'
import { requestDeletion, settleDeletion } from '../../../controller/api/deletion.ts'
import { createKinds } from '../../../controller/kinds/kinds.ts'
import { resources } from '../../../proto/schema/schema.ts'
import { fieldOf } from '../../../proto/schema/shape.ts'
import type { AnyResource, Kind, Resources } from '../../../proto/gen/types.ts'

const NOW = Date.UTC(2026, 0, 1)
const kinds = createKinds()

function make<K extends Kind>(kind: K, more: object = {}, metadata: object = {}): Resources[K] {
  const { namespaced } = resources.find((resource) => resource.kind === kind)!
  return fillZeroValues<K>({
    kind,
    metadata: { name: 'one', ...(namespaced && { namespace: 'default' }), ...metadata },
    ...more,
  } as never)
}

describe('strategies of kinds', () => {
  it('are of every kind of the schema', () => {
    assert.deepEqual(
      kinds
        .all()
        .map(([kind]) => kind)
        .sort(),
      resources.map(({ kind }) => kind).sort(),
    )
  })

  it('name indexes by fields that their objects have', () => {
    for (const [kind, { indexes = {} }] of kinds.all())
      for (const { field } of Object.values(indexes))
        assert.notEqual(fieldOf(kind, field.split('.')), undefined, `${kind} ${field}`)
  })

  describe('what a new object begins with', () => {
    const table: [string, AnyResource, (object: AnyResource) => unknown, unknown][] = [
      [
        'a Deployment whose manifest says a status',
        make('Deployment', { status: { replicas: 7, readyReplicas: 7 } }),
        ({ status }: Resources['Deployment']) => status,
        {},
      ],
      [
        'a namespace',
        make('Namespace', { spec: { finalizers: ['mine'] } }),
        ({ spec }: Resources['Namespace']) => spec,
        {},
      ],
      ['the phase of a namespace', make('Namespace'), ({ status }: Resources['Namespace']) => status.phase, 'Active'],
      [
        'the phase of a pod',
        make('Pod', { status: { phase: 'Running' } }),
        ({ status }: Resources['Pod']) => status.phase,
        'Pending',
      ],
      [
        'a node, which says what it is',
        make('Node', { status: { nodeInfo: { kubeletVersion: 'v1' } } }),
        ({ status }: Resources['Node']) => status.nodeInfo?.kubeletVersion,
        'v1',
      ],
      [
        'the time of a taint that evicts',
        make('Node', { spec: { taints: [{ key: 'a', effect: 'NoExecute' }] } }),
        ({ spec }: Resources['Node']) => spec.taints?.[0]?.timeAdded,
        '2026-01-01T00:00:00Z',
      ],
    ] as never
    for (const [what, object, read, expected] of table)
      it(what, () => assert.deepEqual(read(prepareForCreate(object, kinds.of(object.kind), 'uid', NOW)), expected))
  })

  describe('what lets a namespace go', () => {
    const stored = make('Namespace', { spec: { finalizers: ['kubernetes'] } }, { uid: 'u', resourceVersion: '1' })
    for (const [author, expected] of [
      ['user', ['kubernetes']],
      ['controller', undefined],
    ] as const)
      it(`is ${author === 'user' ? 'no' : 'the'} affair of a ${author}`, () =>
        assert.deepEqual(
          prepareForUpdate(make('Namespace', { spec: {} }), stored, kinds.of('Namespace'), { author, now: NOW }).spec
            .finalizers,
          expected,
        ))
  })

  describe('what becomes of an object that is deleted', () => {
    const bound = {
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 30 },
    }
    const table: [string, AnyResource, { readonly gracePeriodSeconds?: number }, unknown][] = [
      ['a ConfigMap goes at once', make('ConfigMap'), {}, 'removed'],
      ['a pod without a node goes at once', make('Pod', { spec: { containers: [] } }), {}, 'removed'],
      ['a pod on a node is given its time', make('Pod', bound), {}, 30],
      ['a pod on a node is given as much as is said', make('Pod', bound), { gracePeriodSeconds: 5 }, 5],
      ['a pod that has ended goes at once', make('Pod', { ...bound, status: { phase: 'Failed' } }), {}, 'removed'],
      ['a namespace waits to be empty', make('Namespace', { spec: { finalizers: ['kubernetes'] } }), {}, 0],
      ['a definition waits for its objects', make('CustomResourceDefinition'), {}, 0],
    ]
    for (const [what, object, options, expected] of table)
      it(what, () => {
        const next = requestDeletion(object, kinds.of(object.kind), options, NOW)
        assert.equal(next === 'removed' ? next : next.metadata.deletionGracePeriodSeconds, expected)
      })

    it('a namespace is Terminating meanwhile, and goes with its finalizer', () => {
      const strategy = kinds.of('Namespace')
      const marked = requestDeletion(make('Namespace', { spec: { finalizers: ['kubernetes'] } }), strategy, {}, NOW)
      assert(marked !== 'removed')
      assert.equal(marked.status.phase, 'Terminating')
      assert.equal(settleDeletion(marked, strategy), marked)
      assert.equal(settleDeletion({ ...marked, spec: {} }, strategy), 'removed')
    })

    for (const name of ['default', 'kube-system', 'kube-public'])
      it(`namespace ${name} stays`, () =>
        assert.throws(
          () => requestDeletion(make('Namespace', {}, { name }), kinds.of('Namespace'), {}, NOW),
          (thrown) => GantryError.is(thrown, 'Forbidden'),
        ))
  })
})
