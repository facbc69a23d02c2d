import assert from 'node:assert/strict'
import { decodeJson } from '../../proto/codec/codec.ts'
import type { Deployment, JsonObject, Node, Pod } from '../../proto/gen/types.ts'
import { Console } from './console.ts'
import { deployment, event, node, pod, replicaSet } from './objects.ts'

describe('commands for workloads and nodes', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  it('scales, also several, and only from the count given', async () => {
    await console.server.put(deployment('web'))
    await console.server.put(deployment('api'))
    assert.equal(
      (await console.run('scale --replicas=5 deploy/web deploy/api')).stdout,
      'deployment.apps/web scaled\ndeployment.apps/api scaled\n',
    )
    assert.equal(console.server.get<Deployment>('Deployment', 'api')?.spec.replicas, 5)
    assert.deepEqual(await console.run('scale deployment web --replicas=1 --current-replicas=3'), {
      exit: 1,
      stdout: '',
      stderr: 'error: deployments.apps "web" has 5 replicas, not 3 as --current-replicas says; it was not scaled\n',
    })
    assert.equal((await console.run('scale deployment web --replicas=1 --current-replicas=5')).exit, 0)
    assert.equal(
      (await console.run('scale pod/web --replicas=1')).stderr,
      'error: Pod web: this works on Deployments, ReplicaSets and ReplicationControllers only\n',
    )
    assert.equal((await console.run('scale deploy/web --replicas=-1')).exit, 2)
    assert.equal((await console.run('scale deploy/nope --replicas=1')).exit, 3)
  })

  it('follows a rollout to its end', async () => {
    await console.server.put(deployment('web', { status: { observedGeneration: 0 } }))
    const running = console.start(['rollout', 'status', 'deploy/web'])
    await running.until((text) => text.includes('to be observed'))
    const states: JsonObject[] = [
      { observedGeneration: 1, updatedReplicas: 1, replicas: 4 },
      { observedGeneration: 1, updatedReplicas: 3, replicas: 4 },
      { observedGeneration: 1, updatedReplicas: 3, replicas: 3, availableReplicas: 2 },
      { observedGeneration: 1, updatedReplicas: 3, replicas: 3, availableReplicas: 3 },
    ]
    for (const status of states) await console.server.put(deployment('web', { status }))
    assert.deepEqual(await running.result, {
      exit: 0,
      stderr: '',
      stdout: [
        'Waiting for deployment spec update to be observed...',
        'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...',
        'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...',
        'Waiting for deployment "web" rollout to finish: 2 of 3 updated replicas are available...',
        'deployment "web" successfully rolled out',
        '',
      ].join('\n'),
    })
  })

  it('fails when a rollout is past its deadline', async () => {
    await console.server.put(
      deployment('web', {
        status: {
          observedGeneration: 1,
          conditions: [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }],
        },
      }),
    )
    const { exit, stderr } = await console.run('rollout status deployment web')
    assert.equal(exit, 1)
    assert.match(stderr, /^error: deployment "web" exceeded its progress deadline; /)
    await console.server.put(deployment('slow', { status: {} }))
    const slow = await console.run('rollout status deployment slow --timeout 1s')
    assert.equal(slow.exit, 4)
    assert.match(
      slow.stderr,
      /^error: timed out after 1s: Waiting for deployment spec update.*; `gantry why deploy\/slow` tells of its pods\n$/,
    )
  })

  it('lists revisions and goes back to one', async () => {
    await console.server.put(deployment('web'))
    await console.server.put(replicaSet('web-1', 'web', 1, 'busybox:1'))
    await console.server.put(replicaSet('web-2', 'web', 2, 'busybox:2', 3))
    assert.equal(
      (await console.run('rollout history deploy/web')).stdout,
      'deployment.apps/web\nREVISION   CHANGE-CAUSE\n1          to busybox:1\n2          to busybox:2\n',
    )
    assert.match(
      (await console.run('rollout history deploy/web --revision=1')).stdout,
      /^deployment\.apps\/web with revision #1\nPod Template:\n {2}Labels: +app=web\n[^]*Image: +busybox:1\n/,
    )
    assert.match(
      (await console.run('rollout history deploy/web --revision=9')).stderr,
      /^error: deployment "web" has no revision 9; it keeps 1, 2\n/,
    )
    assert.equal((await console.run('rollout undo deploy/web')).stdout, 'deployment.apps/web rolled back\n')
    const { template } = console.server.get<Deployment>('Deployment', 'web')!.spec
    assert.deepEqual([template.spec.containers[0]!.image, template.metadata.labels], ['busybox:1', { app: 'web' }])
    assert.equal(
      (await console.run('rollout undo deploy/web --to-revision=2')).stdout,
      'deployment.apps/web skipped rollback (current template already matches revision 2)\n',
    )
  })

  it('restarts, pauses and resumes', async () => {
    await console.server.put(deployment('web'))
    assert.equal((await console.run('rollout restart deployment/web')).stdout, 'deployment.apps/web restarted\n')
    assert.equal(
      console.server.get<Deployment>('Deployment', 'web')!.spec.template.metadata.annotations![
        'gantry.dev/restartedAt'
      ],
      '2026-01-31T12:00:00Z',
    )
    assert.equal((await console.run('rollout pause deployment/web')).stdout, 'deployment.apps/web paused\n')
    assert.equal(
      (await console.run('rollout pause deployment/web')).stderr,
      'error: deployments.apps "web" is already paused\n',
    )
    assert.match(
      (await console.run('rollout restart deployment/web')).stderr,
      /^error: deployment "web" is paused and cannot restart; resume it first/,
    )
    assert.equal((await console.run('rollout resume deployment/web')).stdout, 'deployment.apps/web resumed\n')
    assert.equal(
      (await console.run('rollout resum deployment/web')).stderr,
      'error: unknown command "gantry rollout resum"; did you mean "resume"?\n',
    )
  })

  it('cordons nodes', async () => {
    await console.server.put(node('n1'))
    assert.equal((await console.run('cordon n1')).stdout, 'node/n1 cordoned\n')
    assert.equal((await console.run('cordon node/n1')).stdout, 'node/n1 already cordoned\n')
    assert.match((await console.run('get node n1')).stdout, /Ready,SchedulingDisabled/)
    assert.equal((await console.run('uncordon -l kubernetes.io/hostname=n1')).stdout, 'node/n1 uncordoned\n')
    assert.equal(console.server.get<Node>('Node', 'n1')!.spec.unschedulable, undefined)
    assert.equal((await console.run('cordon nope')).exit, 3)
  })

  it('drains nodes, and loses nothing unless told to', async () => {
    const owned = {
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }],
    }
    await console.server.put(node('n1'))
    await console.server.put(pod('owned', { metadata: owned }))
    await console.server.put(pod('elsewhere', { node: 'n2' }))
    await console.server.put(pod('alone'))
    await console.server.put(pod('keeps', { metadata: owned, spec: { volumes: [{ name: 'scratch', emptyDir: {} }] } }))
    assert.deepEqual(await console.run('drain n1'), {
      exit: 1,
      stdout: 'node/n1 cordoned\n',
      stderr:
        'error: node/n1 is cordoned, not drained: pod default/alone is owned by no workload, and nothing starts it again (--force); ' +
        'pod default/keeps has data in an emptyDir volume, which is lost (--delete-emptydir-data)\n',
    })
    assert.notEqual(console.server.get('Pod', 'owned'), undefined)
    const dry = await console.run('drain n1 --force --delete-emptydir-data --dry-run=client')
    assert.match(
      dry.stdout,
      /^node\/n1 already cordoned \(dry run\)\n(pod\/\w+ -n default evicted \(dry run\)\n){3}node\/n1 drained \(dry run\)\n$/,
    )
    const done = await console.run('drain n1 --force --delete-emptydir-data')
    assert.match(
      done.stdout,
      /^node\/n1 already cordoned\n(pod\/(owned|alone|keeps) -n default evicted\n){3}node\/n1 drained\n$/,
    )
    assert.deepEqual(
      ['owned', 'alone', 'keeps', 'elsewhere'].map((name) => console.server.get('Pod', name) !== undefined),
      [false, false, false, true],
    )
    assert.equal((await console.run('drain nope')).exit, 3)
    assert.equal((await console.run('drain')).exit, 2)
  })

  it('taints nodes', async () => {
    await console.server.put(node('n1'))
    const taints = (): unknown => console.server.get<Node>('Node', 'n1')!.spec.taints
    assert.equal(
      (await console.run('taint nodes n1 disk=slow:NoSchedule gpu:PreferNoSchedule')).stdout,
      'node/n1 tainted\n',
    )
    assert.deepEqual(taints(), [
      { key: 'disk', value: 'slow', effect: 'NoSchedule' },
      { key: 'gpu', effect: 'PreferNoSchedule' },
    ])
    assert.deepEqual(await console.run('taint node n1 disk=fast:NoSchedule'), {
      exit: 1,
      stdout: '',
      stderr: 'error: node/n1 has taint disk=slow:NoSchedule already; --overwrite changes it\n',
    })
    assert.equal(
      (await console.run('taint n1 disk=fast:NoSchedule --overwrite --dry-run=client')).stdout,
      'node/n1 tainted (dry run)\n',
    )
    assert.equal((await console.run('taint nodes --all disk=fast:NoSchedule --overwrite')).exit, 0)
    assert.equal((await console.run('taint nodes n1 disk:NoSchedule- gpu-')).stdout, 'node/n1 untainted\n')
    assert.equal(taints(), undefined)
    assert.equal((await console.run('taint nodes n1 gpu-')).stderr, 'error: node/n1 has no taint gpu\n')
    assert.match(
      (await console.run('taint nodes n1 disk=slow:Never')).stderr,
      /there is no effect Never; use NoSchedule/,
    )
    assert.equal((await console.run('taint nodes n1')).exit, 2)
    assert.equal((await console.run('taint nodes disk:NoSchedule')).exit, 2)
  })

  it('shows what nodes and pods use', async () => {
    const usage = (millis: number, mebibytes: number) => ({
      cpuNanosPerSecond: millis * 1e6,
      memoryBytes: mebibytes * 2 ** 20,
    })
    for (const name of ['a', 'b']) await console.server.put(pod(name, { metadata: { uid: `uid-${name}` } }))
    await console.server.put(node('n1'))
    console.server.nodes.used.set('n1', {
      time: 0,
      windowMillis: 1,
      machine: usage(500, 1024),
      pods: [
        {
          uid: 'uid-a',
          containers: [
            { name: 'main', usage: usage(100, 20) },
            { name: 'side', usage: usage(50, 30) },
          ],
        },
        { uid: 'uid-b', containers: [{ name: 'main', usage: usage(10, 90) }] },
      ],
    })
    assert.equal(
      (await console.run('top nodes')).stdout,
      'NAME   CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)\nn1     500m         25%      1024Mi          25%\n',
    )
    assert.equal(
      (await console.run('top pods --sort-by=memory --no-headers')).stdout,
      'b   10m    90Mi\na   150m   50Mi\n',
    )
    assert.equal(
      (await console.run('top pods -A --no-headers')).stdout,
      'default   a   150m   50Mi\ndefault   b   10m    90Mi\n',
    )
    assert.equal(
      (await console.run('top pod a --containers')).stdout,
      'POD   NAME   CPU(cores)   MEMORY(bytes)\na     main   100m         20Mi\na     side   50m          30Mi\n',
    )
    assert.equal((await console.run('top deploy')).exit, 2)
    assert.equal((await console.run('top pod nope')).exit, 3)
    console.server.nodes.used.clear()
    assert.match((await console.run('top pods')).stderr, /^error: node n1 cannot be asked/)
  })

  it('sets and removes labels and annotations', async () => {
    await console.server.put(pod('a'))
    assert.equal((await console.run('label pod a color=blue')).stdout, 'pod/a labeled\n')
    assert.equal((await console.run('label pod a color=blue')).stdout, 'pod/a not labeled\n')
    assert.deepEqual(await console.run('label pod/a color=red'), {
      exit: 1,
      stdout: '',
      stderr: 'error: pods "a": color is already "blue"; --overwrite changes it\n',
    })
    assert.equal((await console.run('label pods --all color=red --overwrite')).stdout, 'pod/a labeled\n')
    assert.equal((await console.run('label pod a color-')).stdout, 'pod/a unlabeled\n')
    assert.deepEqual(console.server.get<Pod>('Pod', 'a')!.metadata.labels, { app: 'web' })
    assert.equal((await console.run(['annotate', 'pod', 'a', 'note=a b=c'])).stdout, 'pod/a annotated\n')
    assert.deepEqual(console.server.get<Pod>('Pod', 'a')!.metadata.annotations, { note: 'a b=c' })
    assert.equal((await console.run('label pod a')).exit, 2)
  })

  it('describes every kind', async () => {
    await console.server.put(
      pod('web-1', {
        spec: {
          containers: [
            {
              name: 'main',
              image: 'busybox',
              args: ['sleep', '9'],
              env: [{ name: 'A', value: 'b' }],
              resources: { requests: { cpu: '100m', memory: '64Mi' } },
              volumeMounts: [{ name: 'v', mountPath: '/v' }],
            },
          ],
          volumes: [
            { name: 'v', emptyDir: {} },
            {
              name: 'api',
              projected: {
                sources: [
                  { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
                  { configMap: { name: 'kube-root-ca.crt' } },
                  { downwardAPI: {} },
                ],
              },
            },
          ],
          serviceAccountName: 'builder',
          ephemeralContainers: [{ name: 'look', image: 'tools', targetContainerName: 'main' }],
        },
      }),
    )
    await console.server.put(node('n1'))
    await console.server.put(deployment('web'))
    await console.server.put(replicaSet('web-2', 'web', 2, 'busybox:2', 3))
    await console.server.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'db',
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"password":"czNjcmV0"}}',
          team: 'a',
        },
      },
      data: { password: 'czNjcmV0' },
    })
    await console.server.put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c' },
      data: { 'app.conf': 'x=1\ny=2\n' },
    })
    console.server.publish(decodeJson('Event', event('e1', { kind: 'Pod', name: 'web-1' })))
    const text = (await console.run('describe pod web-1')).stdout
    assert.match(text, /^Name: +web-1\nNamespace: +default\nService Account: +builder\nNode: +n1\/192\.168\.0\.1\n/)
    assert.match(
      text,
      /\nTimeline:\n {2}accepted +11:55:00\.000\n {2}scheduled +11:55:00\.004 +\+4 ms\n {2}started +11:55:00\.051 +\+47 ms\n {2}accepted to started: 51 ms\n/,
    )
    assert.match(
      text,
      /\nEvents:\n {2}Type +Reason +Age +From +Message\n[^]*Normal +Started +60s +agent, n1 +started container main\n$/,
    )
    assert.match(text, /\nEphemeral Containers:\n {2}look:\n {4}Image: +tools\n/)
    assert.match(
      text,
      /\n {4}Sources:\n {6}Token of the ServiceAccount, for the API, renewed within 3607s\n {6}ConfigMap kube-root-ca\.crt\n {6}DownwardAPI\n/,
    )
    assert.match(text, /\n {4}Args:\n {6}sleep\n {6}9\n/)
    assert.match((await console.run('describe node n1')).stdout, /cpu +100m \(5%\) +0 \(0%\)/)
    assert.match((await console.run('describe deploy web')).stdout, /NewReplicaSet: +web-2 \(3\/3 replicas created\)/)
    assert.match((await console.run('describe rs web-2')).stdout, /Controlled By: +Deployment\/web/)
    const secret = (await console.run('describe secret db')).stdout
    assert.match(secret, /password: +6 bytes/)
    assert.match(secret, /\nAnnotations: +team: a\n/)
    assert.doesNotMatch(secret, /czNjcmV0|s3cret/)
    assert.match((await console.run('describe cm c')).stdout, /Data:\n {2}app\.conf:\n {4}x=1\n {4}y=2\n/)
    assert.match((await console.run('describe ns default')).stdout, /Status: +Active/)
    assert.match((await console.run('describe pods web --show-events=false')).stdout, /^Name: +web-1\n/)
    assert.equal((await console.run('describe pod nope')).exit, 3)
  })
})
