/**
 * What agents of real machines claim is what the control plane gave them, and nobody writes more than an address where
 * one belongs.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Rig } from '../../deploy/rig/index.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import type { Network, Pod } from '../../proto/gen/types.ts'
import { rigName } from '../e2e/cluster.ts'

const NAME = rigName('claims')
const execute = promisify(execFile)

const sleeper = (name: string, spec: object = {}, annotations = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, annotations },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000000'] }],
    ...spec,
  },
})

describe('claims of real nodes', function () {
  this.timeout(120_000)
  let rig: Rig

  before(async () => {
    await removeRig(NAME)
    rig = await Rig.up({ name: NAME, nodes: 2 })
  })

  after(() => rig?.down())

  const kubectl = async (...args: string[]): Promise<{ readonly code: number; readonly text: string }> => {
    try {
      const { stdout, stderr } = await execute('kubectl', args, {
        env: { ...process.env, KUBECONFIG: rig.kubeconfigFile },
      })
      return { code: 0, text: stdout + stderr }
    } catch (thrown) {
      const { code, stdout, stderr } = thrown as { code: number; stdout: string; stderr: string }
      return { code, text: stdout + stderr }
    }
  }

  it("pass for pods of each network: the cluster's, the node's, one of their own", async () => {
    await rig.apply([
      { apiVersion: 'gantry.dev/v1', kind: 'Network', metadata: { name: 'back' } },
      sleeper('plain'),
      sleeper('host', { hostNetwork: true }),
      sleeper('both', { nodeSelector: { 'kubernetes.io/hostname': 'n2' } }, { 'gantry.dev/networks': 'back=eth1' }),
      sleeper(
        'apart',
        { initContainers: [{ name: 'first', image: 'busybox', command: ['true'] }] },
        { 'gantry.dev/networks': 'back', 'gantry.dev/cluster-network': 'none' },
      ),
    ])
    const running = await Promise.all(
      ['plain', 'host', 'both', 'apart'].map((name) => rig.until(`pod/${name}`, 'Ready') as Promise<Pod>),
    )
    const [plain, host, both, apart] = running.map(({ status }) => status)
    assert.match(plain!.podIP!, /^10\.244\./)
    assert.equal(host!.podIP, host!.hostIP)
    assert.deepEqual([both!.interfaces?.[0]?.name, apart!.podIP], ['eth1', undefined])
    assert.match(apart!.interfaces![0]!.addresses![0]!, /^172\.24\./)
    await rig.delete(running)
    const { stdout } = await rig.gantry(['events', '-A'])
    assert.doesNotMatch(stdout, /Refused/)
  })

  it('are the only ones: kubectl writes nothing else into a status', async () => {
    const evil = JSON.stringify({
      status: { addresses: [{ type: 'InternalIP', address: '10.9.9.9\nnetns add held' }] },
    })
    const refused = await kubectl('patch', 'node', 'n1', '--subresource=status', '--type=merge', '-p', evil)
    assert.notEqual(refused.code, 0)
    assert.match(refused.text, /status\.addresses\[0\]\.address/)
    const condition = await kubectl(
      'patch',
      'node',
      'n1',
      '--subresource=status',
      '-p',
      JSON.stringify({
        status: {
          conditions: [
            {
              type: 'KernelDeadlock',
              status: 'False',
              reason: 'None',
              message: 'no',
              lastHeartbeatTime: null,
              lastTransitionTime: '2026-01-01T00:00:00Z',
            },
          ],
        },
      }),
    )
    assert.equal(condition.code, 0, condition.text)
    const session = await kubectl('annotate', 'node', 'n1', '--overwrite', 'gantry.dev/session=mine')
    assert.match(session.text, /can only be written by the control plane/)
    const { status } = (await rig.client.get('Network', 'default', 'back')) as Network
    const number = await kubectl(
      'patch',
      'network.gantry.dev',
      'back',
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status: { vni: status.vni! + 1 } }),
    )
    assert.match(number.text, /status\.vni can only be written by the control plane/)
  })
})
