import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import type { JsonValue, Node } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../../controller/api/contract.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { ControlPlane } from '../control-plane.ts'

const SYSTEM: WriteContext = { fieldManager: 'test' }
const USER: WriteContext = { fieldManager: 'test', user: { name: 'ann', groups: [] } }
const EVIL = '10.9.9.9\nnetns add held'

const refusedAt =
  (field: string) =>
  (thrown: unknown): boolean =>
    GantryError.is(thrown, 'InvalidArgument') && thrown.details.some((detail) => detail.field === field)

describe('a status', () => {
  let plane: ControlPlane

  beforeEach(async () => {
    plane = await ControlPlane.start()
  })

  afterEach(() => plane.stop())

  const addresses = (address: string): Node['status'] => ({ addresses: [{ type: 'InternalIP', address }] })
  const patch = (subresource: '' | 'status', content: JsonValue, context = USER): Promise<Node> =>
    plane.api.patch('Node', '', 'n1', { type: 'MERGE', patch: content, subresource }, context)

  /** A node whose stored status is of before there were rules. */
  async function stale(): Promise<Node> {
    const node = await plane.api.create({ kind: 'Node', metadata: { name: 'n1' } }, SYSTEM)
    const key = objectKey('Node', '', 'n1')
    const result = await plane.store.commit([
      { kind: 'put', key, value: encodeResource({ ...node, status: addresses(EVIL) }), expect: { is: 'any' } },
    ])
    assert.equal(result.outcome, 'committed')
    await plane.informer.waitForRevision((result as { revision: number }).revision)
    return plane.api.get('Node', '', 'n1')
  }

  it('is refused if it is not of the form that the schema says, whoever writes it and however', async () => {
    const refused = refusedAt('status.addresses[0].address')
    const node = await plane.api.create({ kind: 'Node', metadata: { name: 'n1' } }, SYSTEM)
    await assert.rejects(patch('status', { status: addresses(EVIL) as JsonValue }), refused)
    await assert.rejects(patch('status', { status: addresses(EVIL) as JsonValue }, SYSTEM), refused)
    for (const context of [USER, SYSTEM])
      await assert.rejects(plane.api.updateStatus({ ...node, status: addresses(EVIL) }, context), refused)
    await assert.rejects(
      plane.api.mutate('Node', '', 'n1', 'status', (object) => void (object.status = addresses(EVIL)), SYSTEM),
      refused,
    )
    await assert.rejects(
      plane.api.create({ kind: 'Node', metadata: { name: 'n2' }, status: addresses(EVIL) }, USER),
      refused,
    )
    await assert.rejects(
      plane.api.apply(
        'Node',
        '',
        'n1',
        { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, status: addresses(EVIL) as JsonValue },
        false,
        USER,
        'status',
      ),
      refused,
    )
    assert.equal((await plane.api.get('Node', '', 'n1')).status.addresses, undefined)
  })

  it('that is wrong already stands in the way of no other change, and is put right', async () => {
    await stale()
    await patch('', { metadata: { labels: { a: 'b' } } })
    const kept = await patch('status', { status: { conditions: [{ type: 'Custom', status: 'True' }] } })
    assert.deepEqual([kept.status.addresses?.[0]?.address, kept.status.conditions?.[0]?.type], [EVIL, 'Custom'])
    await assert.rejects(
      patch('status', { status: addresses(`${EVIL}2`) as JsonValue }),
      refusedAt('status.addresses[0].address'),
    )
    const right = await patch('status', { status: addresses('10.9.9.9') as JsonValue })
    assert.equal(right.status.addresses?.[0]?.address, '10.9.9.9')
  })
})
