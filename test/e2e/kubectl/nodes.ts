/** drain, cordon, uncordon and taint. */
import assert from 'node:assert/strict'
import { pod, type Kubectl } from './kubectl.ts'

export function nodes(root: () => Kubectl): void {
  describe('drain, cordon and taint', () => {
    let kubectl: Kubectl
    const on = async (selector: string): Promise<string> =>
      kubectl.ok(['get', 'pods', '-l', selector, '--field-selector=spec.nodeName=n1', '-o', 'name'])
    const OURS = '--pod-selector=drained'

    before(async () => {
      kubectl = await root().within('nodes')
    })
    after(async () => {
      await kubectl.ok('uncordon n1 n2')
      await kubectl.leave()
    })

    it('cordons and uncordons', async () => {
      assert.equal(await kubectl.ok('cordon n1'), 'node/n1 cordoned\n')
      assert.equal(await kubectl.ok('cordon n1'), 'node/n1 already cordoned\n')
      assert.match(await kubectl.ok('get node n1'), /^n1 +Ready,SchedulingDisabled /m)
      assert.match(await kubectl.ok('describe node n1'), /^Unschedulable: +true$/m)
      await kubectl.ready(pod('elsewhere', 'exec sleep 1000'))
      assert.equal(await kubectl.value('pod/elsewhere', '.spec.nodeName'), 'n2')
      assert.equal(await kubectl.ok('uncordon n1'), 'node/n1 uncordoned\n')
      assert.equal(await kubectl.value('node/n1', '.spec.unschedulable'), '')
      assert.match(await kubectl.refused('cordon n9'), /nodes "n9" not found/)
    })

    it('drains: refuses what would be lost, then moves the rest', async () => {
      const template = {
        metadata: { labels: { app: 'moved', drained: '' } },
        spec: {
          terminationGracePeriodSeconds: 0,
          containers: [
            {
              name: 'main',
              image: 'busybox',
              command: ['sleep', '1000'],
              volumeMounts: [{ name: 'v', mountPath: '/v' }],
            },
          ],
          volumes: [{ name: 'v', emptyDir: {} }],
        },
      }
      await kubectl.ok('cordon n2')
      await kubectl.apply({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'moved' },
        spec: { replicas: 2, selector: { matchLabels: { app: 'moved' } }, template },
      })
      await Promise.all([
        kubectl.ok('rollout status deployment/moved --timeout=60s'),
        kubectl.ready(pod('alone', 'exec sleep 1000', { metadata: { labels: { app: 'alone', drained: '' } } })),
      ])
      await kubectl.ok('uncordon n2')
      const lost = await kubectl.refused(`drain n1 ${OURS}`)
      assert.match(lost, /cannot delete Pods that declare no controller \(use --force to override\): nodes\/alone/)
      assert.match(
        lost,
        /cannot delete Pods with local storage \(use --delete-emptydir-data to override\): nodes\/moved-/,
      )
      assert.match(
        await kubectl.ok(`drain n1 ${OURS} --force --delete-emptydir-data --dry-run=server`),
        /evicting pod nodes\/alone \(server dry run\)|node\/n1 drained \(server dry run\)/,
      )
      assert.equal((await on('drained')).trim().split('\n').length, 3)
      const drained = await kubectl.ok(
        `drain n1 ${OURS} --force --delete-emptydir-data --ignore-daemonsets --timeout=100s`,
      )
      assert.match(drained, /^evicting pod nodes\/alone$/m)
      assert.match(drained, /^node\/n1 drained$/m)
      assert.equal(await on('drained'), '')
      await kubectl.refused('get pod alone')
      await kubectl.ok('rollout status deployment/moved --timeout=60s')
      assert.equal(await kubectl.ok('get pods -l app=moved -o jsonpath={.items[*].spec.nodeName}'), 'n2 n2')
      await kubectl.ok('uncordon n1')
    })

    it('taints: none come, and who does not tolerate it goes', async () => {
      assert.equal(await kubectl.ok('taint nodes n1 dedicated=infra:NoSchedule'), 'node/n1 tainted\n')
      assert.match(
        await kubectl.refused('taint nodes n1 dedicated=other:NoSchedule'),
        /already has dedicated taint\(s\) with same effect\(s\) and --overwrite is false/,
      )
      await kubectl.ready(
        pod('avoids', 'exec sleep 1000'),
        pod('tolerates', 'exec sleep 1000', {
          spec: {
            nodeSelector: { 'kubernetes.io/hostname': 'n1' },
            tolerations: [{ key: 'dedicated', operator: 'Exists' }],
          },
        }),
      )
      assert.equal(await kubectl.value('pod/avoids', '.spec.nodeName'), 'n2')
      await kubectl.ok('taint nodes n2 leave=now:NoExecute')
      await kubectl.ok('wait --for=delete pod/avoids --timeout=60s')
      assert.match(await kubectl.ok('describe node n2'), /^Taints: +leave=now:NoExecute$/m)
      assert.equal(await kubectl.ok('taint nodes n1 dedicated:NoSchedule-'), 'node/n1 untainted\n')
      await kubectl.ok('taint nodes n2 leave-')
      assert.equal(await kubectl.value('node', '.items[*].spec.taints'), '')
      assert.equal(await kubectl.value('pod/tolerates', '.status.phase'), 'Running')
    })
  })
}
