/** Deletion in all propagations and selections, and `wait`. */
import assert from 'node:assert/strict'
import { eventually } from '../../eventually.ts'
import { awaitOutput, pod, type Kubectl } from './kubectl.ts'

export function deleting(root: () => Kubectl): void {
  describe('delete and wait', () => {
    let kubectl: Kubectl
    const workload = async (name: string): Promise<void> => {
      await kubectl.ok(`create deployment ${name} --image=gantry/hello:1.0`)
      await kubectl.ok(`rollout status deployment/${name} --timeout=60s`)
    }
    const left = (selector: string): Promise<string> => kubectl.ok(`get replicasets,pods -l ${selector} -o name`)

    before(async () => {
      kubectl = await root().within('deleting')
      await Promise.all(['background', 'foreground', 'orphan'].map(workload))
    })
    after(() => kubectl.leave())

    it('deletes what depends on it afterwards, before, or not at all', async () => {
      await Promise.all([
        kubectl.ok('delete deployment background'),
        kubectl
          .ok('delete deployment foreground --cascade=foreground')
          .then(async () => assert.equal(await left('app=foreground'), '', 'what depends on it has gone before it')),
        kubectl.ok('delete deployment orphan --cascade=orphan'),
      ])
      await eventually(async () => (await left('app=background')) === '', 60_000)
      const orphans = await left('app=orphan')
      assert.match(orphans, /^replicaset\.apps\/orphan-\S+\npod\/orphan-\S+\n$/m)
      assert.equal(
        await kubectl.ok([
          'get',
          'replicasets',
          '-l',
          'app=orphan',
          '-o',
          'jsonpath={.items[*].metadata.ownerReferences}',
        ]),
        '',
      )
      assert.match(
        await kubectl.ok('delete replicaset,pod -l app=orphan'),
        /^replicaset\.apps "orphan-\S+" deleted\npod "orphan-\S+" deleted\n/,
      )
    })

    it('deletes by name, file, label and all; says what is not there', async () => {
      await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => kubectl.ok(`create configmap ${name}`)))
      await kubectl.ok('label configmap c d x=y')
      assert.equal(await kubectl.ok('delete configmap a b'), 'configmap "a" deleted\nconfigmap "b" deleted\n')
      assert.equal(await kubectl.ok('delete configmaps -l x=y -o name'), 'configmap/c\nconfigmap/d\n')
      assert.equal(
        await kubectl.ok('delete -f -', { stdin: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"e"}}' }),
        'configmap "e" deleted\n',
      )
      assert.match(
        await kubectl.ok('delete configmap f --dry-run=server'),
        /^configmap "f" deleted \(server dry run\)\n$/,
      )
      assert.match(await kubectl.ok('delete configmaps --all'), /^configmap "f" deleted\n/)
      assert.equal(
        await kubectl.refused('delete configmap f'),
        'Error from server (NotFound): configmaps "f" not found\n',
      )
      assert.equal(await kubectl.ok('delete configmap f --ignore-not-found'), '')
      // What every namespace has comes back.
      await kubectl.ok('wait --for=create configmap/kube-root-ca.crt --timeout=60s')
    })

    it('gives pods their time, less, or none; waits or does not', async () => {
      const deaf = (name: string): ReturnType<typeof pod> =>
        pod(name, 'trap "" TERM; while :; do sleep 0.1; done', { spec: { terminationGracePeriodSeconds: 600 } })
      await kubectl.ready(deaf('grace'), deaf('now'), deaf('force'), deaf('later'))
      await kubectl.ok('delete pod later --wait=false')
      assert.notEqual(await kubectl.value('pod/later', '.metadata.deletionTimestamp'), '')
      const [grace, now, force] = await Promise.all([
        kubectl.run('delete pod grace --grace-period=1'),
        kubectl.run('delete pod now --now'),
        kubectl.run('delete pod force --force'),
      ])
      assert.deepEqual(
        [grace, now, force].map(({ code, stdout }) => [code, stdout]),
        [
          [0, 'pod "grace" deleted\n'],
          [0, 'pod "now" deleted\n'],
          [0, 'pod "force" force deleted\n'],
        ],
      )
      assert.match(force.stderr, /^Warning: Immediate deletion does not wait for confirmation/)
      assert.equal(await kubectl.ok('get pods -o name'), 'pod/later\n')
      const waiting = kubectl.begin('wait --for=delete pod/later --timeout=60s')
      await kubectl.ok('delete pod later --grace-period=1')
      assert.equal(await waiting.ended, 0)
    })

    it('waits for finalizers, and is interrupted', async () => {
      await kubectl.apply({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'held', finalizers: ['example.com/held'] },
      })
      const deletion = kubectl.begin('delete configmap held')
      await awaitOutput(deletion, /configmap "held" deleted/)
      assert.match(await kubectl.refused('delete configmap held --timeout=1s'), /timed out waiting for the condition/)
      await kubectl.ok([
        'patch',
        'configmap',
        'held',
        '--type=json',
        '-p',
        '[{"op":"remove","path":"/metadata/finalizers"}]',
      ])
      assert.equal(await deletion.ended, 0)
      await kubectl.refused('get configmap held')
    })

    it('waits for conditions, values, creation; and for what does not come', async () => {
      const waits = [
        '--for=create pod/coming',
        '--for=condition=Ready pod/coming',
        '--for=jsonpath={.status.phase}=Running pod/coming',
        '--for=jsonpath={.status.podIP} pod/coming',
      ]
      const created = kubectl.begin(`wait ${waits[0]} --timeout=60s`)
      await kubectl.apply(pod('coming', 'exec sleep 1000'))
      assert.equal(await created.ended, 0, created.said())
      assert.deepEqual(
        await Promise.all(waits.slice(1).map((wait) => kubectl.ok(`wait ${wait} --timeout=60s`))),
        Array(3).fill('pod/coming condition met\n'),
      )
      const [otherwise, nobody] = await Promise.all([
        kubectl.refused('wait --for=condition=PodScheduled=False pod/coming --timeout=1s'),
        kubectl.refused('wait --for=condition=Ready pod/nobody --timeout=1s'),
      ])
      assert.match(otherwise, /^error: timed out waiting for the condition on pods\/coming\n$/)
      assert.match(nobody, /pods "nobody" not found/)
      await kubectl.ok('delete pod coming --now')
    })

    it('deletes a namespace with all in it', async () => {
      const inner = await kubectl.within('deleting-inner')
      await Promise.all([
        inner.ok('create configmap a'),
        inner.apply(pod('p', 'exec sleep 1000')),
        inner.ok('create deployment d --image=gantry/hello:1.0'),
      ])
      assert.equal(
        await kubectl.ok('delete namespace deleting-inner --timeout=100s'),
        'namespace "deleting-inner" deleted\n',
      )
      assert.equal(await kubectl.ok('get all,configmaps -n deleting-inner -o name'), '')
      assert.match(await inner.refused('create configmap b'), /namespaces "deleting-inner" not found/)
    })
  })
}
