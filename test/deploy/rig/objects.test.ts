import assert from 'node:assert/strict'
import path from 'node:path'
import { ClusterClient } from '../../../proto/client/cluster.ts'
import { applyManifests, deleteObjects } from '../../../deploy/rig/objects.ts'
import { connect } from '../../../proto/rpc/rpc.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { Console } from '../../cli/console.ts'
import { systemClock } from '../../../proto/base/clock.ts'

const WEB = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'web' }, data: { a: 'b' } }

describe('objects into a rig and out of it', () => {
  const { signal } = new AbortController()
  let console: Console
  let cluster: ClusterClient

  beforeEach(async () => {
    console = await new Console().open()
    await console.server.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
    cluster = new ClusterClient({
      context: { name: 'test', server: [console.address] },
      credentials: undefined,
      connect,
      clock: systemClock,
      signal,
      timeout: 10_000,
    })
  })

  afterEach(async () => {
    cluster.close()
    await console.close()
  })

  const places = async (): Promise<string[]> =>
    (await cluster.list('ConfigMap', { namespace: '' })).items
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      .sort()

  it('go to the namespace that is asked for where they name none, else to default', async () => {
    const file = path.join(console.directory, await console.file('web.yaml', JSON.stringify(WEB)))
    const applied = await applyManifests(cluster, file, 'shop', signal)
    assert.deepEqual(
      applied.map(({ metadata }) => metadata.namespace),
      ['shop'],
    )
    await applyManifests(cluster, WEB, undefined, signal)
    assert.deepEqual(await places(), ['default/web', 'shop/web'])
    await deleteObjects(cluster, WEB, { namespace: 'shop', graceSeconds: undefined, timeout: 10_000 }, signal)
    assert.deepEqual(await places(), ['default/web'])
  })

  it('are refused where they name another', async () => {
    const elsewhere = { ...WEB, metadata: { name: 'web', namespace: 'yard' } }
    await assert.rejects(
      applyManifests(cluster, elsewhere, 'shop', signal),
      (thrown) => GantryError.is(thrown, 'InvalidArgument') && thrown.message.includes('metadata.namespace'),
    )
    assert.deepEqual(await places(), [])
  })
})
