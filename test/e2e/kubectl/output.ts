/** `kubectl get` in all its outputs, `describe`, `events`. */
import assert from 'node:assert/strict'
import { awaitOutput, type Kubectl } from './kubectl.ts'

export function output(root: () => Kubectl): void {
  describe('get and describe', () => {
    let kubectl: Kubectl
    const names = ['one', 'three', 'two']

    before(async () => {
      kubectl = await root().within('output')
      await Promise.all([
        kubectl.apply(
          ...names.map((name, index) => ({
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name, labels: { set: 'numbers', rank: String(3 - index) } },
            data: { size: String(name.length) },
          })),
        ),
        kubectl.ok('create deployment web --image=gantry/hello:1.0 --replicas=2 --port=8080'),
      ])
      await kubectl.ok('rollout status deployment/web --timeout=60s')
    })
    after(() => kubectl.leave())

    it('prints tables: short, wide, with labels, without headers', async () => {
      const [short, wide, labels, bare, columns] = await Promise.all([
        kubectl.ok('get deployments'),
        kubectl.ok('get pods -o wide'),
        kubectl.ok('get configmaps -l set=numbers --show-labels'),
        kubectl.ok('get configmaps -l set=numbers --no-headers'),
        kubectl.ok('get configmaps -l set=numbers -L rank'),
      ])
      assert.match(short, /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +2\/2 +2 +2 +\d+s\n$/)
      assert.match(
        wide,
        /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n(web-\S+ +1\/1 +Running +0 +\d+s +10\.\S+ +n[12] +<none> +<none>\n){2}$/,
      )
      assert.match(labels, /^NAME +DATA +AGE +LABELS\none +1 +\d+s +rank=3,set=numbers\n/)
      assert.match(bare, /^one +1 +\d+s\nthree +1 +\d+s\ntwo +1 +\d+s\n$/)
      assert.match(columns, /^NAME +DATA +AGE +RANK\none +1 +\d+s +3\n/)
    })

    it('prints names, JSON and YAML', async () => {
      const [name, json, yaml, managed] = await Promise.all([
        kubectl.ok('get deployment,configmap -l set=numbers -o name'),
        kubectl.json<{ kind: string; items: { apiVersion: string; kind: string; data: object; metadata: object }[] }>(
          'get configmaps -l set=numbers',
        ),
        kubectl.ok('get configmap one -o yaml'),
        kubectl.ok('get configmap one -o yaml --show-managed-fields'),
      ])
      assert.equal(name, 'configmap/one\nconfigmap/three\nconfigmap/two\n')
      assert.deepEqual(
        [json.kind, ...json.items.map(({ apiVersion, kind, data }) => [apiVersion, kind, data])],
        ['List', ...['3', '5', '3'].map((size) => ['v1', 'ConfigMap', { size }])],
      )
      assert.match(yaml, /^apiVersion: v1\ndata:\n {2}size: "3"\nkind: ConfigMap\nmetadata:\n/)
      assert.doesNotMatch(yaml, /managedFields/)
      assert.match(managed, /managedFields:\n[^]*manager: kubectl-client-side-apply\n {4}operation: Update/)
    })

    it('prints what jsonpath, templates and columns ask for', async () => {
      const configMaps = 'get configmaps -l set=numbers'.split(' ')
      const [jsonpath, template, columns, file] = await Promise.all([
        kubectl.ok([
          ...configMaps,
          '-o',
          'jsonpath={range .items[?(@.data.size=="3")]}{.metadata.name} {.kind}{"\\n"}{end}',
        ]),
        kubectl.ok([...configMaps, '-o', 'go-template={{range .items}}{{.metadata.name}}={{.data.size}} {{end}}']),
        kubectl.ok([...configMaps, '-o', 'custom-columns=NAME:.metadata.name,SIZE:.data.size,NONE:.data.none']),
        kubectl
          .file('columns', 'WHO\n.metadata.name\n')
          .then(() => kubectl.ok([...configMaps, '-o', 'custom-columns-file=columns'])),
      ])
      assert.equal(jsonpath, 'one ConfigMap\ntwo ConfigMap\n')
      assert.equal(template, 'one=3 three=5 two=3 ')
      assert.equal(
        columns,
        'NAME    SIZE   NONE\none     3      <none>\nthree   5      <none>\ntwo     3      <none>\n',
      )
      assert.equal(file, 'WHO\none\nthree\ntwo\n')
    })

    it('sorts, selects by labels and fields, and reads page by page', async () => {
      const [sorted, selected, notIn, field, paged, everywhere] = await Promise.all([
        kubectl.ok('get configmaps -l set=numbers --sort-by=.metadata.labels.rank -o name'),
        kubectl.ok(['get', 'configmaps', '-l', 'rank in (1,3)', '-o', 'name']),
        kubectl.ok(['get', 'configmaps', '-l', 'rank,rank notin (1)', '-o', 'name']),
        kubectl.ok('get pods --field-selector=status.phase=Running,metadata.namespace=output --no-headers'),
        kubectl.run('get configmaps -l set=numbers --chunk-size=1 -o name -v=6'),
        kubectl.ok('get pods -A -l app=web --no-headers'),
      ])
      assert.equal(sorted, 'configmap/two\nconfigmap/three\nconfigmap/one\n')
      assert.equal(selected, 'configmap/one\nconfigmap/two\n')
      assert.equal(notIn, 'configmap/one\nconfigmap/three\n')
      assert.equal(field.trim().split('\n').length, 2)
      assert.equal(paged.stdout, 'configmap/one\nconfigmap/three\nconfigmap/two\n')
      assert.equal(paged.stderr.match(/configmaps\?\S*limit=1\S* 200 OK/g)?.length, 3, paged.stderr)
      assert.match(everywhere, /^(output +web-\S+ +1\/1 +Running .*\n){2}$/)
      assert.match(
        await kubectl.refused('get pods --field-selector=spec.color=blue'),
        /field label not supported|spec\.color/,
      )
    })

    it('watches: what there is and what comes, or only what comes', async () => {
      const [all, later, events] = [
        'get configmap -l set=watched -w --no-headers -o name',
        'get configmap -l set=watched --watch-only -o name',
        'get configmap -l set=watched -w --output-watch-events --no-headers',
      ].map((command) => kubectl.begin(command))
      await kubectl.ok('create configmap seen')
      await kubectl.ok('label configmap seen set=watched')
      await Promise.all([
        awaitOutput(all!, /^configmap\/seen\n/),
        awaitOutput(later!, /^configmap\/seen\n/),
        awaitOutput(events!, /^ADDED +seen +0 +\d+s\n/),
      ])
      await kubectl.ok('label configmap seen set-')
      await awaitOutput(events!, /\nDELETED +seen +0 +\d+s\n/)
      for (const { process } of [all!, later!, events!]) process.kill('SIGINT')
      await Promise.all([all!.ended, later!.ended, events!.ended])
    })

    it('describes objects with their events', async () => {
      const [deployment, pods, node] = await Promise.all([
        kubectl.ok('describe deployment web'),
        kubectl.ok('describe pods -l app=web'),
        kubectl.ok('describe node n1'),
      ])
      assert.match(deployment, /^Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable$/m)
      assert.match(deployment, /^NewReplicaSet: +web-\S+ \(2\/2 replicas created\)$/m)
      assert.match(deployment, /^ {2}Normal +\w+ +.*replica/m)
      assert.equal(pods.match(/^Controlled By: +ReplicaSet\/web-/gm)?.length, 2)
      assert.match(pods, /^ {4}Image: +gantry\/hello:1\.0$/m)
      assert.match(pods, /^ {2}Normal +Started .* [Ss]tarted container hello$/m)
      assert.match(node, /^Unschedulable: +false$/m)
      assert.match(node, /^ {2}Ready +True /m)
      assert.match(node, /^ {2}output +web-/m)
    })

    it('shows events', async () => {
      const [name] = (await kubectl.ok('get pods -l app=web -o name')).trim().split('\n')
      const [events, selected, newest] = await Promise.all([
        kubectl.ok(`events --for ${name} --types=Normal`),
        kubectl.ok(
          `get events --field-selector=involvedObject.name=${name!.slice(4)},reason=Started -o jsonpath={.items[*].message}`,
        ),
        kubectl.ok('get events.events.k8s.io --sort-by=.metadata.creationTimestamp -o name'),
      ])
      assert.match(
        events,
        /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n[^]*Normal +Started +Pod\/web-\S+ +started container hello\n/,
      )
      assert.equal(selected, 'started container hello')
      assert.match(newest, /^event\.events\.k8s\.io\/web/m)
    })

    it('says what is not there', async () => {
      const [object, kind, version, namespace] = await Promise.all([
        kubectl.refused('get pod nobody'),
        kubectl.refused('get crystals'),
        kubectl.refused('get deployments.v1beta1.apps'),
        kubectl.run('get pods -n nowhere'),
      ])
      assert.equal(object, 'Error from server (NotFound): pods "nobody" not found\n')
      assert.equal(kind, 'error: the server doesn\'t have a resource type "crystals"\n')
      assert.equal(version, 'error: the server doesn\'t have a resource type "deployments"\n')
      assert.deepEqual([namespace.code, namespace.stderr], [0, 'No resources found in nowhere namespace.\n'])
    })
  })
}
