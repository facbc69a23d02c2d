import assert from 'node:assert/strict'
import { Console, type Result } from './console.ts'

const TEMPLATE = {
  metadata: { labels: { app: 'old' } },
  spec: { containers: [{ name: 'web', image: 'nginx:1.20', ports: [{ containerPort: 80, name: 'http' }] }] },
}
const CONTROLLER = {
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name: 'old', uid: 'uid-of-old', generation: 1 },
  spec: { replicas: 2, selector: { app: 'old' }, template: TEMPLATE },
  status: { replicas: 2, readyReplicas: 1, availableReplicas: 1, observedGeneration: 1 },
}
const pod = (name: string, phase: string, owner: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    labels: { app: 'old' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'ReplicationController', name: 'old', uid: owner, controller: true }],
  },
  spec: TEMPLATE.spec,
  status: { phase },
})

describe('commands for replication controllers and pod templates', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
    await console.server.put(CONTROLLER)
    await console.server.put(pod('old-a', 'Running', 'uid-of-old') as never)
    await console.server.put(pod('old-b', 'Pending', 'uid-of-old') as never)
    await console.server.put(pod('old-c', 'Running', 'another') as never)
  })

  afterEach(() => console.close())

  async function run(line: string): Promise<Result> {
    const result = await console.run(line)
    assert.equal(result.exit, 0, result.stderr)
    return result
  }

  it('describe with its own pods only', async () => {
    const { stdout } = await run('describe rc old')
    assert.match(stdout, /^Selector: +app=old$/m)
    assert.match(stdout, /^Replicas: +2 current \/ 2 desired$/m)
    assert.match(stdout, /^Pods Status: +1 Running \/ 1 Waiting \/ 0 Succeeded \/ 0 Failed$/m)
    assert.match(stdout, /^ +Image: +nginx:1\.20$/m)
  })

  it('describe a template', async () => {
    await console.server.put({ apiVersion: 'v1', kind: 'PodTemplate', metadata: { name: 'base' }, template: TEMPLATE })
    assert.match(
      (await run('describe podtemplate base')).stdout,
      /^Pod Template:\n {2}Labels: +app=old\n(?:.*\n)* +Image: +nginx:1\.20$/m,
    )
  })

  it('scale, wait and say what is not there yet', async () => {
    assert.equal((await run('scale rc old --replicas=1')).stdout, 'replicationcontroller/old scaled\n')
    const live = console.server.get('ReplicationController', 'old') as unknown as { spec: { replicas: number } }
    assert.equal(live.spec.replicas, 1)
    const { exit, stderr } = await console.run('scale rc/old --replicas=3 --wait --timeout=100ms')
    assert.equal(exit, 4)
    assert.match(stderr, /not ready after .*: replicationcontroller\/old: (not seen yet|1 of 3 replicas are available)/)
  })

  it('set, expose and list as other workloads', async () => {
    assert.equal((await run('set image rc/old web=nginx:1.29')).stdout, 'replicationcontroller/old image updated\n')
    assert.equal((await run('expose rc old --name=front')).stdout, 'service/front exposed\n')
    const service = console.server.get('Service', 'front') as unknown as { spec: object }
    assert.deepEqual((service.spec as { selector: object }).selector, { app: 'old' })
    assert.match(
      (await run('get all')).stdout,
      /pod\/old-a(?:.*\n)+.*replicationcontroller\/old(?:.*\n)+.*service\/front/,
    )
  })

  it('read logs of its pods', async () => {
    console.server.nodes.lines.set('old-a/web', ['2026-01-01T00:00:00Z hello'])
    const { stdout } = await console.run('logs rc/old --ignore-errors')
    assert.equal(stdout, 'hello\n')
  })

  it('have no rollouts', async () => {
    assert.match((await console.run('rollout status rc/old')).stderr, /this works on Deployments only/)
  })
})
