/**
 * What Segments do of what the control plane tells; what they make is tested with packets
 * (test/integration/network-segments.test.ts).
 */
import assert from 'node:assert/strict'
import { ClusterView } from '../../../agent/network/cluster-view.ts'
import { Segments } from '../../../agent/network/segments/segments.ts'
import { encode } from '../../../proto/codec/wire.ts'
import { silentLogger } from '../../../proto/base/logger.ts'

describe('segments', () => {
  it('ask the kernel nothing when what has changed is no Network and no node', async () => {
    const view = new ClusterView({ podCidrs: [], cluster: { podCidrs: [], serviceCidrs: [], domain: '' } })
    const network = encode('Network', {
      metadata: { name: 'lab', namespace: 'default', uid: 'u', resourceVersion: '1' },
      status: { cidrs: ['10.7.0.0/24'], vni: 7, blocks: [{ node: 'n1', cidr: '10.7.0.0/28' }] },
    })
    view.update([
      {
        complete: true,
        sequence: 1,
        revision: 1,
        removed: [],
        more: false,
        set: [
          {
            key: 'Network/default/lab',
            entry: { case: 'object', value: { apiVersion: 'gantry.dev/v1', kind: 'Network', raw: network } },
          },
          {
            key: 'PeerNode/n1',
            entry: {
              case: 'peer',
              value: { name: 'n1', addresses: ['192.0.2.1'], podCidrs: [], labels: {}, present: true },
            },
          },
        ],
      },
    ])
    const programs: string[] = []
    const segments = new Segments({
      logger: silentLogger,
      node: 'n1',
      vxlanPort: 8472,
      mtu: 1450,
      run: (program) => {
        programs.push(program)
        return Promise.resolve({ code: 0, stdout: '', stderr: '' })
      },
    })
    await segments.apply(view, { complete: true, keys: view.keys })
    const before = programs.length
    assert.ok(before > 0)
    await segments.apply(view, {
      complete: false,
      keys: new Set(['EndpointSlice/default/web-1', 'Service/default/web']),
    })
    assert.equal(programs.length, before)
    await segments.apply(view, { complete: false, keys: new Set(['PeerNode/n1']) })
    assert.ok(programs.length > before)
  })
})
