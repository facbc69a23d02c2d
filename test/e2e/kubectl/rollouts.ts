/** Workloads: scale, set, and rollout in all verbs. */
import assert from 'node:assert/strict'
import { awaitOutput, type Kubectl } from './kubectl.ts'

export function rollouts(root: () => Kubectl): void {
  describe('scale, set and rollout', () => {
    let kubectl: Kubectl
    const container = (path: string): Promise<string> =>
      kubectl.value('deployment/web', `.spec.template.spec.containers[0]${path}`)
    const settled = (): Promise<string> => kubectl.ok('rollout status deployment/web --timeout=60s')

    before(async () => {
      kubectl = await root().within('rollouts')
      await kubectl.ok('create deployment web --image=gantry/hello:1.0 --replicas=2')
    })
    after(() => kubectl.leave())

    it('follows a rollout to its end', async () => {
      assert.match(await settled(), /deployment "web" successfully rolled out\n$/)
      assert.equal(await kubectl.value('deployment/web', '.status.availableReplicas'), '2')
      assert.match(await kubectl.ok('rollout status deployment/web --watch=false'), /successfully rolled out/)
    })

    it('scales, by name, by label, and only from what was expected', async () => {
      assert.equal(await kubectl.ok('scale deployment/web --replicas=3'), 'deployment.apps/web scaled\n')
      await kubectl.ok('wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=60s')
      assert.equal(
        await kubectl.refused('scale deployment/web --current-replicas=7 --replicas=1'),
        'error: Expected replicas to be 7, was 3\n',
      )
      await kubectl.ok('scale -l app=web deployments --current-replicas=3 --replicas=1')
      await kubectl.ok('wait --for=jsonpath={.status.replicas}=1 deployment/web --timeout=60s')
    })

    it('keeps the pods of a ReplicationController, as old manifests have them', async () => {
      const labels = { app: 'old' }
      await kubectl.apply({
        apiVersion: 'v1',
        kind: 'ReplicationController',
        metadata: { name: 'old' },
        spec: {
          replicas: 1,
          template: { metadata: { labels }, spec: { containers: [{ name: 'hello', image: 'gantry/hello:1.0' }] } },
        },
      })
      await kubectl.ok('wait --for=jsonpath={.status.readyReplicas}=1 rc/old --timeout=60s')
      assert.equal(await kubectl.ok('scale rc old --replicas=3'), 'replicationcontroller/old scaled\n')
      await kubectl.ok('wait --for=jsonpath={.status.availableReplicas}=3 rc/old --timeout=60s')
      assert.match(await kubectl.ok('get rc'), /\nold +3 +3 +3 +/)
      await kubectl.ok('expose rc old --port=80')
      assert.equal(await kubectl.value('service/old', '.spec.selector'), '{"app":"old"}')
      await kubectl.ok('delete rc/old service/old')
    })

    it('sets image, environment, resources, account and selector', async () => {
      await kubectl.ok('create serviceaccount bot')
      await kubectl.ok('create configmap settings --from-literal=COLOR=red --from-literal=SIZE=2')
      assert.equal(
        await kubectl.ok('set image deployment/web hello=docker.io/gantry/hello:1.0'),
        'deployment.apps/web image updated\n',
      )
      assert.match(
        await kubectl.refused('set image deployment/web other=busybox'),
        /unable to find container named "other"/,
      )
      await kubectl.ok('set env deployment/web --from=configmap/settings --prefix=MY_')
      await kubectl.ok('set env deployment/web PLAIN=1 MY_SIZE-')
      await kubectl.ok('set resources deployment web --limits=cpu=200m,memory=64Mi --requests=cpu=20m')
      await kubectl.ok('set serviceaccount deployment web bot')
      assert.equal(await container('.image'), 'docker.io/gantry/hello:1.0')
      assert.equal(
        await kubectl.ok('set env deployment/web --list --resolve'),
        '# Deployment web, container hello\nMY_COLOR=red\nPLAIN=1\n',
      )
      assert.equal(await container('.resources'), '{"limits":{"cpu":"200m","memory":"64Mi"},"requests":{"cpu":"20m"}}')
      assert.equal(await kubectl.value('deployment/web', '.spec.template.spec.serviceAccountName'), 'bot')
      await kubectl.ok('create service clusterip web --tcp=80')
      await kubectl.ok('set selector service web color=green')
      assert.equal(await kubectl.value('service/web', '.spec.selector'), '{"color":"green"}')
      await settled()
    })

    it('keeps a history, and goes back in it', async () => {
      await kubectl.ok(['annotate', 'deployment/web', 'kubernetes.io/change-cause=a new colour'])
      await kubectl.ok('set env deployment/web COLOR=blue')
      const history = await kubectl.ok('rollout history deployment/web')
      const revisions = history
        .trim()
        .split('\n')
        .slice(2)
        .map((line) => line.split(/\s{2,}/))
      assert.match(history, /^deployment\.apps\/web \nREVISION +CHANGE-CAUSE\n1 +<none>\n/)
      assert.equal(revisions.at(-1)![1], 'a new colour')
      assert.match(
        await kubectl.ok(`rollout history deployment/web --revision=${revisions.at(-1)![0]}`),
        /^ {6}COLOR:\s+blue$/m,
      )
      assert.equal(await kubectl.ok('rollout undo deployment/web'), 'deployment.apps/web rolled back\n')
      assert.doesNotMatch(await container('.env[*].name'), /\bCOLOR\b/)
      await kubectl.ok('rollout undo deployment/web --to-revision=1')
      assert.equal(await container('.env'), '')
      assert.match(
        await kubectl.refused('rollout undo deployment/web --to-revision=99'),
        /unable to find specified revision 99 in history/,
      )
      await settled()
      assert.match(
        await kubectl.refused('rollout history deployment/web --revision=1'),
        /unable to find the specified revision/,
      )
    })

    it('pauses and resumes', async () => {
      await kubectl.ok('rollout pause deployment/web')
      const before = await kubectl.ok('get replicasets -l app=web -o name')
      await kubectl.ok('set env deployment/web WHILE=paused')
      assert.match(await kubectl.refused('rollout pause deployment/web'), /deployments\.apps "web" is already paused/)
      assert.match(await kubectl.refused('rollout restart deployment/web'), /can't restart paused deployment/)
      await kubectl.ok('wait --for=condition=Progressing=Unknown deployment/web --timeout=60s')
      assert.equal(await kubectl.ok('get replicasets -l app=web -o name'), before)
      await kubectl.ok('rollout resume deployment/web')
      await settled()
      assert.notEqual(await kubectl.ok('get replicasets -l app=web -o name'), before)
    })

    it('restarts all pods', async () => {
      const pods = await kubectl.ok('get pods -l app=web -o name')
      assert.equal(await kubectl.ok('rollout restart deployment/web'), 'deployment.apps/web restarted\n')
      await settled()
      assert.match(await container('.image'), /hello/)
      assert.match(
        await kubectl.value(
          'deployment/web',
          '.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt',
        ),
        /^\d{4}-/,
      )
      for (const pod of pods.trim().split('\n')) await kubectl.ok(`wait --for=delete ${pod} --timeout=60s`)
    })

    it('tells of a rollout that gets nowhere', async () => {
      await kubectl.ok([
        'patch',
        'deployment',
        'web',
        '-p',
        '{"spec":{"progressDeadlineSeconds":2,"template":{"spec":{"containers":[{"name":"hello","image":"gantry/nothing:9"}]}}}}',
      ])
      const status = kubectl.begin('rollout status deployment/web --timeout=60s')
      await awaitOutput(status, /Waiting for deployment "web" rollout to finish/)
      assert.equal(await status.ended, 1)
      assert.match(status.said(), /error: deployment "web" exceeded its progress deadline/)
      await kubectl.ok('rollout undo deployment/web')
      await settled()
    })
  })
}
