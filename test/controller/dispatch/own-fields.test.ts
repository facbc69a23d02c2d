import assert from 'node:assert/strict'
import { OwnFieldsPlugin } from '../../../controller/dispatch/own-fields-plugin.ts'
import type { WriteContext } from '../../../controller/api/contract.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { ObjectRegistry } from '../../../controller/api/objects.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { ControlPlane } from '../control-plane.ts'

const SYSTEM: WriteContext = { fieldManager: 'gantry-dispatch' }
const USER: WriteContext = { fieldManager: 'kubectl', user: { name: 'ann', groups: ['system:masters'] } }

describe('fields that the control plane keeps for itself', () => {
  let plane: ControlPlane
  let api: ObjectRegistry

  beforeEach(async () => {
    plane = await ControlPlane.start()
    api = new ObjectRegistry({
      reads: plane.reads,
      participants: createParticipants(plane),
      informer: plane.informer,
      commits: new GroupCommit(plane.store),
      clock: systemClock,
      random: seededRandom(2),
      plugins: () => [new OwnFieldsPlugin()],
    })
  })

  afterEach(() => plane.stop())

  const forbidden =
    (field: string) =>
    (thrown: unknown): boolean =>
      GantryError.is(thrown, 'Forbidden') && thrown.details.some((detail) => detail.field === field)

  it('in the annotations of a node stay as they are', async () => {
    const annotations = {
      'gantry.dev/session': 's1',
      'gantry.dev/controller': 'c1',
      'gantry.dev/pod-range': '10.244.0.0/24',
    }
    const node = await api.create({ kind: 'Node', metadata: { name: 'n1', annotations } }, SYSTEM)
    for (const name of Object.keys(annotations)) {
      const refused = forbidden(`metadata.annotations[${name}]`)
      const other = { [name]: 'other' }
      await assert.rejects(
        api.patch('Node', '', 'n1', { type: 'MERGE', patch: { metadata: { annotations: other } } }, USER),
        refused,
      )
      await assert.rejects(
        api.apply(
          'Node',
          '',
          'n1',
          { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', annotations: other } },
          true,
          USER,
        ),
        refused,
      )
      await assert.rejects(
        api.update({ ...node, metadata: { ...node.metadata, annotations: { ...annotations, ...other } } }, USER),
        refused,
      )
      await assert.rejects(api.create({ kind: 'Node', metadata: { name: 'n2', annotations: other } }, USER), refused)
    }
    const replaced = await api.update(
      { ...node, metadata: { ...node.metadata, annotations: { mine: 'yes' }, labels: { a: 'b' } } },
      USER,
    )
    assert.deepEqual(
      [replaced.metadata.annotations, replaced.metadata.labels],
      [{ mine: 'yes', ...annotations }, { a: 'b' }],
    )
    const removed = await api.patch(
      'Node',
      '',
      'n1',
      { type: 'MERGE', patch: { metadata: { annotations: { 'gantry.dev/session': null, mine: null } } } },
      USER,
    )
    assert.deepEqual(removed.metadata.annotations, annotations)
    const moved = await api.mutate(
      'Node',
      '',
      'n1',
      '',
      ({ metadata }) => void (metadata.annotations = { ...annotations, 'gantry.dev/session': 's2' }),
      SYSTEM,
    )
    assert.equal(moved.metadata.annotations?.['gantry.dev/session'], 's2')
  })

  it('in the status of a Network, its number, ranges and parts, stay as they are', async () => {
    for (const name of ['mine', 'theirs'])
      await api.create({ kind: 'Network', metadata: { name, namespace: 'default' } }, USER)
    const given = { vni: 100, cidrs: ['172.24.0.0/20'], blocks: [{ node: 'n1', cidr: '172.24.0.0/26' }] }
    await api.mutate(
      'Network',
      'default',
      'theirs',
      'status',
      ({ status }) => void Object.assign(status, given),
      SYSTEM,
    )
    for (const [field, value] of Object.entries(given)) {
      await assert.rejects(
        api.patch(
          'Network',
          'default',
          'mine',
          { type: 'MERGE', patch: { status: { [field]: value } }, subresource: 'status' },
          USER,
        ),
        forbidden(`status.${field}`),
      )
      await assert.rejects(
        api.patch(
          'Network',
          'default',
          'theirs',
          { type: 'MERGE', patch: { status: { [field]: null } }, subresource: 'status' },
          USER,
        ),
        forbidden(`status.${field}`),
      )
    }
    const told = await api.patch(
      'Network',
      'default',
      'theirs',
      {
        type: 'MERGE',
        patch: { status: { conditions: [{ type: 'Watched', status: 'True' }] } },
        subresource: 'status',
      },
      USER,
    )
    assert.deepEqual([told.status.vni, told.status.conditions?.[0]?.type], [100, 'Watched'])
  })
})
