import assert from 'node:assert/strict'
import { decodeJson } from '../../proto/codec/codec.ts'
import { Console } from './console.ts'
import { deployment, event, node, pod, replicaSet } from './objects.ts'

describe('gantry get', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  it('lists pods as a table', async () => {
    await console.server.put(pod('web-1'))
    await console.server.put(
      pod('web-22', {
        status: {
          phase: 'Pending',
          containerStatuses: [
            {
              name: 'main',
              ready: false,
              restartCount: 4,
              image: '',
              imageID: '',
              state: { waiting: { reason: 'CrashLoopBackOff' } },
              lastState: { terminated: { exitCode: 1, finishedAt: '2026-01-31T11:58:00Z' } },
            },
          ],
        },
      }),
    )
    const { exit, stdout } = await console.run('get pods')
    assert.equal(exit, 0)
    assert.equal(
      stdout,
      [
        'NAME     READY   STATUS             RESTARTS      AGE',
        'web-1    1/1     Running            0             5m',
        'web-22   0/1     CrashLoopBackOff   4 (2m ago)    5m',
        '',
      ]
        .join('\n')
        .replace('(2m ago)    5m', '(2m ago)   5m')
        .replace('RESTARTS      AGE', 'RESTARTS     AGE')
        .replace('0             5m', '0            5m'),
    )
  })

  it('adds columns with -o wide, -A, --show-labels and -L', async () => {
    await console.server.put(pod('web-1'))
    const { stdout } = await console.run('get po -A -o wide --show-labels -L app')
    const [header, row] = stdout.split('\n')
    assert.deepEqual(header!.split(/ {3,}/), [
      'NAMESPACE',
      'NAME',
      'READY',
      'STATUS',
      'RESTARTS',
      'AGE',
      'IP',
      'NODE',
      'NOMINATED NODE',
      'READINESS GATES',
      'APP',
      'LABELS',
    ])
    assert.deepEqual(row!.split(/ {3,}/), [
      'default',
      'web-1',
      '1/1',
      'Running',
      '0',
      '5m',
      '10.1.0.5',
      'n1',
      '<none>',
      '<none>',
      'web',
      'app=web',
    ])
  })

  it("shows kubectl's columns for every kind", async () => {
    await console.server.put(deployment('web'))
    await console.server.put(replicaSet('web-abc', 'web', 2, 'busybox:2', 3))
    await console.server.put(node('n1'))
    await console.server.put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings' },
      data: { a: '1', b: '2' },
    })
    await console.server.put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'db' },
      data: { password: 'czNjcmV0' },
    })
    assert.match(
      (await console.run('get deploy')).stdout,
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +3\/3 +3 +3 +120m\n$/,
    )
    assert.match(
      (await console.run('get rs -o wide')).stdout,
      /^NAME +DESIRED +CURRENT +READY +AGE +CONTAINERS +IMAGES +SELECTOR\nweb-abc +3 +3 +3 +0s +main +busybox:2 +app=web,pod-template-hash=web-abc\n$/,
    )
    assert.match(
      (await console.run('get nodes')).stdout,
      /^NAME +STATUS +ROLES +AGE +VERSION\nn1 +Ready +<none> +24h +v0\.1\.0\n$/,
    )
    assert.match((await console.run('get cm')).stdout, /^NAME +DATA +AGE\nsettings +2 +0s\n$/)
    assert.match((await console.run('get secrets')).stdout, /^NAME +TYPE +DATA +AGE\ndb +Opaque +1 +0s\n$/)
    assert.match((await console.run('get ns')).stdout, /^NAME +STATUS +AGE\ndefault +Active +0s\n$/)
  })

  it('lists several kinds, each in its table with its kind before the name', async () => {
    await console.server.put(pod('web-1'))
    await console.server.put(deployment('web'))
    const { stdout } = await console.run('get pods,deploy')
    assert.match(stdout, /^NAME[^\n]+\npod\/web-1 [^\n]+\n\nNAME[^\n]+\ndeployment\.apps\/web [^\n]+\n$/)
    assert.equal((await console.run('get all -o name')).stdout, 'pod/web-1\ndeployment.apps/web\n')
  })

  it('gets objects by name in the order asked for', async () => {
    await console.server.put(pod('b'))
    await console.server.put(pod('a'))
    assert.equal((await console.run('get pod b a -o name')).stdout, 'pod/b\npod/a\n')
    assert.equal((await console.run('get pod/a pods/b -o name')).stdout, 'pod/a\npod/b\n')
  })

  it('gets and describes what manifests name, where they place it', async () => {
    const there = { ...pod('web'), metadata: { name: 'web', namespace: 'shop' } }
    for (const object of [there, pod('web'), deployment('web')]) await console.server.put(object)
    const file = await console.file(
      'web.yaml',
      `${JSON.stringify(there)}\n---\n${JSON.stringify({ ...deployment('web'), status: undefined })}\n`,
    )
    assert.equal(
      (await console.run(`get -f ${file} -o jsonpath={.items[*].kind}/{.items[*].metadata.namespace}`)).stdout,
      'Pod Deployment/shop default',
    )
    assert.match(
      (await console.run(`describe -f ${file}`)).stdout,
      /^Name: +web\nNamespace: +shop\n[^]*\n\nName: +web\nNamespace: +default\n/,
    )
    await console.file('none.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: we }\n')
    assert.equal((await console.run('describe -f none.yaml')).exit, 3)
    assert.equal((await console.run(`get pods -f ${file}`)).stderr, 'error: give files or names, not both\n')
    assert.equal((await console.run(`get -f ${file} -l app=web`)).exit, 2)
  })

  it('shows what is there and tells what is not', async () => {
    await console.server.put(pod('a'))
    const { exit, stdout, stderr } = await console.run('get pod a nope -o name')
    assert.equal(stdout, 'pod/a\n')
    assert.equal(stderr, 'error: pods "nope" not found in namespace default; `gantry get pods -A` lists all\n')
    assert.equal(exit, 3)
    assert.deepEqual(await console.run('get pod nope --ignore-not-found'), { exit: 0, stdout: '', stderr: '' })
  })

  it('says when there is nothing', async () => {
    assert.deepEqual(await console.run('get pods'), {
      exit: 0,
      stdout: '',
      stderr: 'No resources found in default namespace.\n',
    })
    assert.deepEqual(await console.run('get nodes'), { exit: 0, stdout: '', stderr: 'No resources found\n' })
    assert.match((await console.run('get pods -o yaml')).stdout, /^apiVersion: v1\nkind: List\n/)
  })

  it('selects by labels and fields', async () => {
    await console.server.put(pod('a', { labels: { app: 'a' } }))
    await console.server.put(pod('b', { labels: { app: 'b' }, node: 'n2' }))
    assert.equal((await console.run('get pods -l app=a -o name')).stdout, 'pod/a\n')
    assert.equal((await console.run('get pods -l app!=a -o name')).stdout, 'pod/b\n')
    assert.equal((await console.run('get pods --field-selector spec.nodeName=n2 -o name')).stdout, 'pod/b\n')
  })

  it('reads all pages', async () => {
    for (let count = 0; count < 7; count++) await console.server.put(pod(`p${count}`))
    assert.equal((await console.run('get pods --chunk-size 3 --no-headers')).stdout.split('\n').length, 8)
    assert.equal(console.server.calls.filter((call) => call === 'list Pod').length, 3)
  })

  it('prints one object or a list as yaml and json that read back', async () => {
    await console.server.put(pod('a'))
    const one = await console.run('get pod a -o json')
    assert.deepEqual(
      decodeJson('Pod', JSON.parse(one.stdout)),
      decodeJson('Pod', JSON.parse(JSON.stringify(console.server.get('Pod', 'a')))),
    )
    const list = await console.run('get pods -o json')
    assert.equal(JSON.parse(list.stdout).items.length, 1)
    assert.match(
      (await console.run('get pod a -o yaml')).stdout,
      /^apiVersion: v1\nkind: Pod\nmetadata:\n {2}name: a\n/,
    )
  })

  it('hides managed fields unless they are wanted', async () => {
    await console.file('cm.yaml', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "1"}\n')
    assert.equal((await console.run('apply -f cm.yaml')).exit, 0)
    assert.doesNotMatch((await console.run('get cm c -o yaml')).stdout, /managedFields/)
    assert.match(
      (await console.run('get cm c -o yaml --show-managed-fields')).stdout,
      /managedFields:\n {2}- manager: gantry|managedFields:\n {2}-/,
    )
  })

  it('prints jsonpath and custom columns, sorted', async () => {
    await console.server.put(pod('b', { metadata: { creationTimestamp: '2026-01-31T11:00:00Z' } }))
    await console.server.put(pod('a', { metadata: { creationTimestamp: '2026-01-31T11:30:00Z' } }))
    assert.equal(
      (
        await console.run([
          'get',
          'pods',
          '-o',
          'jsonpath={range .items[*]}{.metadata.name}{"\\t"}{.status.podIP}{"\\n"}{end}',
        ])
      ).stdout,
      'a\t10.1.0.5\nb\t10.1.0.5\n',
    )
    assert.equal((await console.run('get pods --sort-by=.metadata.name -o name')).stdout, 'pod/a\npod/b\n')
    assert.equal((await console.run('get pods --sort-by=.metadata.creationTimestamp -o name')).stdout, 'pod/b\npod/a\n')
    assert.equal(
      (await console.run('get pods -o custom-columns=NAME:.metadata.name,NONE:.spec.hostname')).stdout,
      'NAME   NONE\na      <none>\nb      <none>\n',
    )
  })

  it('goes on with changes', async () => {
    await console.server.put(pod('a'))
    const running = console.start(['get', 'pods', '-w', '--output-watch-events'])
    await running.until((text) => text.split('\n').length > 2)
    await console.server.put(pod('b', { status: { phase: 'Pending' } }))
    await running.until((text) => text.includes('b '))
    await console.server.remove('Pod', 'a')
    await running.until((text) => text.includes('DELETED'))
    running.interrupt()
    const { exit, stdout } = await running.result
    assert.equal(exit, 130)
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ +/).slice(0, 4)),
      [
        ['EVENT', 'NAME', 'READY', 'STATUS'],
        ['ADDED', 'a', '1/1', 'Running'],
        ['ADDED', 'b', '0/1', 'Pending'],
        ['DELETED', 'a', '1/1', 'Running'],
      ],
    )
    assert.equal(stdout.split('\n').length, 5)
  })

  it('lists events from their own service', async () => {
    console.server.publish(
      decodeJson('Event', event('e1', { kind: 'Pod', name: 'a' })),
      decodeJson('Event', event('e2', { kind: 'Pod', name: 'b' }, { type: 'Warning' })),
    )
    assert.match(
      (await console.run('get events')).stdout,
      /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n60s +Normal +Started +pod\/a +started container main\n60s +Warning/,
    )
    assert.equal(
      (await console.run('get events --field-selector type=Warning --no-headers')).stdout.split('\n').length,
      2,
    )
  })

  it('colours states on a terminal only', async () => {
    await console.server.put(pod('a', { status: { phase: 'Failed', reason: 'Evicted' } }))
    assert.match((await console.run('get pods', { terminal: true })).stdout, /\u001b\[31mEvicted\u001b\[39m {3}0/)
    assert.doesNotMatch((await console.run('get pods', { terminal: true, env: { NO_COLOR: '1' } })).stdout, /\u001b/)
    assert.doesNotMatch((await console.run('get pods')).stdout, /\u001b/)
  })

  it('refuses what makes no sense, with exit code 2', async () => {
    for (const [line, message] of [
      ['get', 'error: which objects? Say TYPE, TYPE NAME or TYPE/NAME; `gantry api-resources` lists the types\n'],
      [
        'get quota',
        'error: ResourceQuota: Kubernetes has it, Gantry does not act on it yet; `gantry api-resources` lists the kinds that it has\n',
      ],
      [
        'get pods,poddisruptionbudgets.policy',
        'error: PodDisruptionBudget: Kubernetes has it, Gantry does not act on it yet; `gantry api-resources` lists the kinds that it has\n',
      ],
      ['get podz', 'error: no kind is called "podz"; did you mean "pods"?\n'],
      [
        'get pods -o yml',
        'error: unknown output form "yml"; it is wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=SPEC\n',
      ],
      [
        'get -k overlay',
        'error: unknown flag "-k"; `kubectl kustomize DIRECTORY | gantry apply -f -` applies what kustomize makes\n',
      ],
      ['get pods --lables a=b', 'error: unknown flag "--lables"; `gantry get --help` lists the flags\n'],
      [
        'get pods --selektor a=b',
        'error: unknown flag "--selektor"; did you mean --selector? `gantry get --help` lists the flags\n',
      ],
      ['get pods,deploy -w', 'error: -w watches one kind, or one object; leave the others out\n'],
      [
        'get pod/a b',
        'error: "b" is not TYPE/NAME; a line has either TYPE/NAME operands only or TYPE followed by names\n',
      ],
      ['get pods a -l x=y', 'error: give names or a selector, not both\n'],
    ] as const) {
      assert.deepEqual(await console.run(line), { exit: 2, stdout: '', stderr: message })
    }
  })
})
