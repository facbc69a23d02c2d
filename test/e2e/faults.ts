/** Everything is killed once, and everything is as before. */
import assert from 'node:assert/strict'
import { isAlive, type ProcessIdentity } from '../../proto/base/process.ts'
import { eventually } from '../eventually.ts'
import type { Cluster } from './cluster.ts'

const REPLICAS = 6

export function faults(cluster: () => Cluster): void {
  describe('faults', () => {
    const sleepers = (): ProcessIdentity[] =>
      ['n1', 'n2', 'n3'].flatMap((node) => cluster().processes(node, 'sleep 424242'))
    const kill = (machine: string, text: string): void => {
      const found = cluster().processes(machine, text)
      assert.notEqual(found.length, 0, `no ${text} on ${machine}`)
      for (const { pid } of found) process.kill(pid, 'SIGKILL')
    }
    const readyReplicas = (): Promise<string> => cluster().value('deployment/steady', '.status.readyReplicas')
    /** A write that goes all the way: a pod that starts. */
    const startsPod = async (name: string): Promise<void> => {
      await eventually(
        async () =>
          (
            await cluster().run(
              ['apply', '-f', '-'],
              JSON.stringify({
                apiVersion: 'v1',
                kind: 'Pod',
                metadata: { name, labels: { suite: 'faults' } },
                spec: {
                  terminationGracePeriodSeconds: 0,
                  containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000'] }],
                },
              }),
            )
          ).code === 0,
        30_000,
      )
      await eventually(async () => (await cluster().value(`pod/${name}`, '.status.phase')) === 'Running', 30_000)
    }

    let original: ProcessIdentity[]
    before(async () => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'steady' },
          spec: {
            replicas: REPLICAS,
            selector: { matchLabels: { app: 'steady' } },
            template: {
              metadata: { labels: { app: 'steady' } },
              spec: {
                terminationGracePeriodSeconds: 0,
                containers: [{ name: 'c', image: 'busybox', command: ['sleep', '424242'] }],
              },
            },
          },
        }),
      )
      await eventually(async () => (await readyReplicas()) === String(REPLICAS))
      original = sleepers()
      assert.ok(original.length >= REPLICAS)
    })

    afterEach(() => {
      assert.deepEqual(
        original.filter((container) => !isAlive(container)),
        [],
        'containers were restarted',
      )
    })

    after(async () => {
      await cluster().ok(['delete', 'deployment', 'steady'])
      await cluster().ok(['delete', 'pods', '-l', 'suite=faults', '--now'])
    })

    it('an agent is killed: it comes back and adopts the same processes', async () => {
      const agents = cluster().processes('n1', 'gantry-agent.cjs --config')
      kill('n1', 'gantry-agent.cjs --config')
      await eventually(
        () =>
          agents.every((agent) => !isAlive(agent)) && cluster().processes('n1', 'gantry-agent.cjs --config').length > 0,
      )
      await eventually(async () => /^n1 +Ready /m.test(await cluster().ok(['get', 'nodes'])), 30_000)
      assert.equal(await readyReplicas(), String(REPLICAS))
      const restarts = await cluster().ok([
        'get',
        'pods',
        '-l',
        'app=steady',
        '-o',
        'jsonpath={.items[*].status.containerStatuses[0].restartCount}',
      ])
      assert.deepEqual(restarts.trim().split(' '), Array(REPLICAS).fill('0'))
      await startsPod('after-agent')
    })

    it('a container that ends while its agent is away is noticed and restarted', async () => {
      await cluster().ok(
        ['apply', '-f', '-'],
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'brief', labels: { suite: 'faults' } },
          spec: {
            nodeSelector: { 'kubernetes.io/hostname': 'n2' },
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'c', image: 'busybox', command: ['sleep', '515151'] }],
          },
        }),
      )
      await eventually(async () => (await cluster().value('pod/brief', '.status.phase')) === 'Running')
      kill('n2', 'gantry-agent.cjs --config')
      kill('n2', 'sleep 515151')
      await eventually(
        async () =>
          (await cluster().value('pod/brief', '.status.containerStatuses[0].restartCount')) === '1' &&
          (await cluster().value('pod/brief', '.status.phase')) === 'Running',
        30_000,
      )
      assert.equal(
        await cluster().value('pod/brief', '.status.containerStatuses[0].lastState.terminated.exitCode'),
        '137',
      )
    })

    it('etcd is killed and comes back: nothing is lost, writes go on', async () => {
      await cluster().ok(['create', 'configmap', 'kept', '--from-literal=a=1'])
      await cluster().rig.controller().program('etcd').kill()
      await eventually(async () => (await cluster().run(['get', 'configmap', 'kept'])).code === 0, 30_000)
      await startsPod('after-etcd')
      await cluster().ok(['delete', 'configmap', 'kept'])
    })

    it('NATS is killed: pods start all the same, and events come after', async () => {
      await cluster().rig.controller().program('nats').kill()
      await startsPod('after-nats')
      await eventually(async () => /Started/.test(await cluster().ok(['events', '--for', 'pod/after-nats'])), 30_000)
    })

    it('the controller is killed and comes back: the cluster is what it was', async () => {
      const resources = await cluster().ok(['get', 'deploy,rs,cm', '-o', 'name'])
      kill('controller', 'gantry-controller.cjs --config')
      await eventually(
        async () => (await cluster().run(['get', 'deploy,rs,cm', '-o', 'name'])).stdout === resources,
        40_000,
      )
      await eventually(async () => (await cluster().ok(['get', 'nodes'])).match(/ Ready /g)?.length === 3, 40_000)
      assert.equal(await readyReplicas(), String(REPLICAS))
      await cluster().ok(['scale', 'deploy/steady', '--replicas', String(REPLICAS + 1)])
      await eventually(async () => (await readyReplicas()) === String(REPLICAS + 1), 40_000)
    })
  })
}
