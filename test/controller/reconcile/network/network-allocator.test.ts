import assert from 'node:assert/strict'
import type { WriteContext } from '../../../../controller/api/contract.ts'
import { networkRecordKey } from '../../../../controller/reconcile/network/network-allocator.ts'
import type { Network, NetworkStatus } from '../../../../proto/gen/types.ts'
import { ControlPlane } from '../../control-plane.ts'

const SYSTEM: WriteContext = { fieldManager: 'network-controller' }
const USER: WriteContext = { fieldManager: 'kubectl', user: { name: 'ann', groups: [] } }
const GIVEN: NetworkStatus = { vni: 100, cidrs: ['172.24.0.0/20'], blocks: [{ node: 'n1', cidr: '172.24.0.0/26' }] }

describe('the record of a Network', () => {
  let plane: ControlPlane

  beforeEach(async () => {
    plane = await ControlPlane.start()
    for (const name of ['mine', 'theirs'])
      await plane.api.create({ kind: 'Network', metadata: { name, namespace: 'default' } }, USER)
  })
  afterEach(() => plane.stop())

  const write = (name: string, status: NetworkStatus, context = SYSTEM): Promise<Network> =>
    plane.api.mutate('Network', 'default', name, 'status', (network) => void (network.status = status), context)
  const record = async (network: Network): Promise<unknown> => {
    const entry = await plane.store.get(networkRecordKey(network))
    return entry === undefined ? undefined : JSON.parse(Buffer.from(entry.value).toString())
  }
  const given = ({ status: { vni, cidrs, blocks } }: Network): unknown => [vni, cidrs, blocks]

  it('says what it was given, and goes with it', async () => {
    const network = await write('mine', GIVEN)
    assert.deepEqual(await record(network), { network: 'default/mine', uid: network.metadata.uid, ...GIVEN })
    await plane.api.delete('Network', 'default', 'mine', {}, USER)
    assert.equal(await record(network), undefined)
    assert.equal((await plane.store.list('/gantry-allocations/')).count, 0)
  })

  it('holds against a status of a user, even where nothing refuses it, and against a proposal', async () => {
    await write('theirs', GIVEN)
    const mine = await write('mine', { vni: 100, cidrs: ['172.24.0.0/20'], blocks: [] })
    assert.deepEqual(given(mine), [101, ['172.24.16.0/20'], undefined])
    const forged = await plane.api.updateStatus<'Network'>({ ...mine, status: { ...mine.status, ...GIVEN } }, USER)
    assert.deepEqual(given(forged), given(mine))
    const proposed = await write('mine', { ...GIVEN, vni: 300 })
    assert.deepEqual([proposed.status.vni, proposed.status.cidrs], [101, ['172.24.16.0/20']])
    assert.equal(proposed.status.blocks, undefined, 'parts of another range are none of its')
  })

  it('is not taken over by a Network of the same name that is restored with its status', async () => {
    const before = await write('mine', GIVEN)
    await plane.api.delete('Network', 'default', 'mine', {}, USER)
    assert.deepEqual(given(await write('theirs', GIVEN)), given(before))
    const restored = await plane.api.create<'Network'>(
      { ...before, metadata: { name: 'mine', namespace: 'default' } },
      USER,
    )
    assert.deepEqual(given(restored), [undefined, undefined, undefined])
    assert.equal((await write('mine', GIVEN)).status.vni, 101)
  })

  it('keeps a part of the range for the node that has it, whatever a user writes', async () => {
    const mine = await write('mine', GIVEN)
    const blocks = [{ node: 'n2', cidr: '172.24.0.0/26' }]
    const forged = await plane.api.updateStatus<'Network'>({ ...mine, status: { ...mine.status, blocks } }, USER)
    assert.deepEqual(given(forged), given(mine))
  })

  it('does not count if it is left of an earlier Network of the name', async () => {
    const mine = await plane.api.get('Network', 'default', 'mine')
    const stray = { network: 'default/mine', uid: 'gone', vni: 200, cidrs: ['172.25.0.0/20'], blocks: [] }
    const value = Buffer.from(JSON.stringify(stray))
    await plane.store.commit([{ kind: 'put', key: networkRecordKey(mine), value, expect: { is: 'any' } }])
    const written = await write('mine', GIVEN)
    assert.deepEqual(given(written), [GIVEN.vni, GIVEN.cidrs, GIVEN.blocks])
    assert.deepEqual(await record(written), { network: 'default/mine', uid: mine.metadata.uid, ...GIVEN })
  })

  it('is made of the status of a Network from before there were records', async () => {
    const network = await write('mine', GIVEN)
    const key = networkRecordKey(network)
    await plane.store.commit(
      [key, '/gantry-allocations/vni/100', '/gantry-allocations/network-range/172.24.0.0/20'].map((key) => ({
        kind: 'delete',
        key,
        expect: { is: 'any' },
      })),
    )
    const again = await write('mine', network.status)
    assert.deepEqual([given(again), again.metadata.uid], [given(network), network.metadata.uid])
    assert.deepEqual(await record(again), { network: 'default/mine', uid: network.metadata.uid, ...GIVEN })
    assert.equal((await plane.store.list('/gantry-allocations/')).count, 3)
  })

  it('puts right a status that strayed from it', async () => {
    const network = await write('mine', GIVEN)
    const taken = await plane.store.get(networkRecordKey(network))
    const value = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(taken!.value).toString()), vni: 200 }))
    await plane.store.commit([{ kind: 'put', key: taken!.key, value, expect: { is: 'any' } }])
    assert.equal((await write('mine', network.status)).status.vni, 200)
  })
})
