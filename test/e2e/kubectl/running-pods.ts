/** What can be changed about a pod that runs: containers that are added to it, and what its containers may use. */
import assert from 'node:assert/strict'
import { pod, type Kubectl, type Pod } from './kubectl.ts'

/**
 * A container's own limit of cpu in microseconds of each 100,000, and of memory in bytes, whichever version of control
 * groups there is.
 */
const LIMITS =
  'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || { cut -d " " -f 1 /sys/fs/cgroup/cpu.max; cat /sys/fs/cgroup/memory.max; }'
const FOREVER = 'trap "exit 0" TERM; while :; do sleep 0.1; done'
const MEBIBYTE = 2 ** 20

export function runningPods(root: () => Kubectl): void {
  describe('pods that run', () => {
    let kubectl: Kubectl
    const sized = (name: string, cpu: string, memory: string, container: object = {}): Pod =>
      pod(name, FOREVER, {
        container: { resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu, memory } }, ...container },
      })
    const resize = (name: string, resources: object): Promise<string> =>
      kubectl.ok([
        'patch',
        'pod',
        name,
        '--subresource',
        'resize',
        '-p',
        JSON.stringify({ spec: { containers: [{ name: 'main', resources }] } }),
      ])
    const inForce = (name: string, path: string, value: string): Promise<string> =>
      kubectl.ok(
        `wait pod/${name} --for=jsonpath={.status.containerStatuses[0].resources.${path}}=${value} --timeout=60s`,
      )
    const limits = async (name: string): Promise<number[]> =>
      (await kubectl.ok(['exec', name, '--', 'sh', '-c', LIMITS])).trim().split('\n').map(Number)
    const pending = (name: string, reason: string): Promise<string> =>
      kubectl.ok([
        'wait',
        `pod/${name}`,
        `--for=jsonpath={.status.conditions[?(@.type=="PodResizePending")].reason}=${reason}`,
        '--timeout=60s',
      ])

    before(async () => {
      kubectl = await root().within('running')
      await kubectl.ready(
        sized('web', '200m', '64Mi'),
        sized('strict', '200m', '64Mi', {
          resizePolicy: [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }],
        }),
        sized('large', '200m', '64Mi'),
      )
    })
    after(() => kubectl.leave())

    it('take further containers, which see the processes of the one they name', async () => {
      await kubectl.ok([
        'debug',
        'web',
        '--image=busybox',
        '--target=main',
        '--container=look',
        '--profile=general',
        '--',
        'sh',
        '-c',
        'ps -o args; sleep 600',
      ])
      await kubectl.ok(
        'wait pod/web --for=jsonpath={.status.ephemeralContainerStatuses[0].state.running} --timeout=60s',
      )
      const processes = await kubectl.ok('exec web -c look -- ps -o pid,args')
      assert.match(processes, /^ *1 sh -c trap "exit 0" TERM/m)
      assert.match(processes, /sleep 600/)
      assert.match(await kubectl.ok('logs web -c look'), /while :; do sleep/)
      assert.equal(await kubectl.value('pod/web', '.status.conditions[?(@.type=="Ready")].status'), 'True')
      assert.match(
        await kubectl.refused([
          'patch',
          'pod',
          'web',
          '--subresource',
          'ephemeralcontainers',
          '--type=json',
          '-p',
          '[{"op":"remove","path":"/spec/ephemeralContainers/0"}]',
        ]),
        /look cannot be taken away/,
      )
      assert.match(await kubectl.ok('describe pod web'), /^Ephemeral Containers:\n {2}look:$/m)
    })

    it('are looked into by way of a copy', async () => {
      await kubectl.ok('debug web --copy-to=web-copy --set-image=*=busybox --share-processes --profile=general')
      await kubectl.ok('wait pod/web-copy --for=condition=Ready --timeout=60s')
      assert.match(await kubectl.ok('exec web-copy -- ps -o args'), /sh -c trap/)
    })

    it('get other resources while they run', async () => {
      assert.deepEqual(await limits('web'), [20_000, 64 * MEBIBYTE])
      await resize('web', { limits: { cpu: '500m', memory: '96Mi' } })
      await Promise.all([inForce('web', 'limits.cpu', '500m'), inForce('web', 'limits.memory', '96Mi')])
      assert.deepEqual(await limits('web'), [50_000, 96 * MEBIBYTE])
      await resize('web', { limits: { memory: '48Mi' } })
      await inForce('web', 'limits.memory', '48Mi')
      assert.deepEqual(
        [await limits('web'), await kubectl.value('pod/web', '.status.containerStatuses[0].restartCount')],
        [[50_000, 48 * MEBIBYTE], '0'],
      )
      assert.match(
        await kubectl.ok('get events --field-selector=involvedObject.name=web -o jsonpath={.items[*].reason}'),
        /ResizeStarted.*ResizeCompleted/,
      )
    })

    it('are restarted for it where they say so', async () => {
      await resize('strict', { limits: { cpu: '300m' } })
      await inForce('strict', 'limits.cpu', '300m')
      assert.equal(await kubectl.value('pod/strict', '.status.containerStatuses[0].restartCount'), '0')
      await resize('strict', { limits: { memory: '96Mi' } })
      await inForce('strict', 'limits.memory', '96Mi')
      await kubectl.ok('wait pod/strict --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s')
      await kubectl.ok('wait pod/strict --for=condition=Ready --timeout=60s')
      assert.deepEqual(await limits('strict'), [30_000, 96 * MEBIBYTE])
    })

    it('wait for room, or learn that there never is any', async () => {
      const node = await kubectl.value('pod/large', '.spec.nodeName')
      const cpu = await kubectl.value(`node/${node}`, '.status.allocatable.cpu')
      await resize('large', { requests: { cpu: '4000' }, limits: { cpu: '4000' } })
      await pending('large', 'Infeasible')
      assert.match(
        await kubectl.value('pod/large', '.status.conditions[?(@.type=="PodResizePending")].message'),
        /^not enough cpu on the node: requested 4000000m/,
      )
      // All of the node, of which another pod there has some.
      await kubectl.ready(
        pod('other', FOREVER, { spec: { nodeName: node }, container: { resources: { requests: { cpu: '100m' } } } }),
      )
      await resize('large', { requests: { cpu: `${Number(cpu) * 1000 - 50}m` }, limits: { cpu } })
      await pending('large', 'Deferred')
      assert.equal(await kubectl.value('pod/large', '.status.containerStatuses[0].allocatedResources.cpu'), '10m')
      await kubectl.ok('delete pod other web strict web-copy --grace-period=1')
      await inForce('large', 'limits.cpu', cpu)
      assert.equal(await kubectl.value('pod/large', '.status.conditions[?(@.type=="PodResizePending")]'), '')
    })
  })
}
