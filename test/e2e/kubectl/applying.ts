/** `kubectl apply` on both sides, with prune and diff, and what kustomizations make. */
import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { list, type Kubectl } from './kubectl.ts'

interface ConfigMap {
  readonly data?: Readonly<Record<string, string>>
  readonly metadata: {
    readonly annotations?: object
    readonly managedFields: readonly {
      readonly manager: string
      readonly operation: string
      readonly fieldsV1: object
    }[]
  }
}

export function applying(root: () => Kubectl): void {
  describe('apply', () => {
    let kubectl: Kubectl
    const configMap = (name: string, data?: object, labels?: object): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, labels },
      data,
    })
    const names = async (selector: string): Promise<string> =>
      kubectl.ok(`get configmaps,secrets -l ${selector} -o name`)

    before(async () => {
      kubectl = await root().within('applying')
    })
    after(() => kubectl.leave())

    it('creates, leaves alone, and changes: fields of others stay', async () => {
      const apply = async (data: object): Promise<string> =>
        kubectl.ok('apply -f -', { stdin: list([configMap('mine', data)]) })
      assert.equal(await apply({ a: '1', b: '2' }), 'configmap/mine created\n')
      assert.equal(await apply({ a: '1', b: '2' }), 'configmap/mine unchanged\n')
      await kubectl.ok(['patch', 'configmap', 'mine', '-p', '{"data":{"other":"x"}}'])
      assert.equal(await apply({ a: '1', c: '3' }), 'configmap/mine configured\n')
      assert.deepEqual((await kubectl.json<ConfigMap>('get configmap mine')).data, { a: '1', c: '3', other: 'x' })
      assert.match(await kubectl.ok('apply view-last-applied configmap mine'), /^data:\n {2}a: "1"\n {2}c: "3"\n/m)
      await kubectl.file('mine.json', JSON.stringify(configMap('mine', { a: '7' })))
      await kubectl.ok('apply set-last-applied -f mine.json')
      assert.match(await kubectl.ok('apply view-last-applied configmap mine -o json'), /"a": "7"/)
    })

    it('merges lists of a workload by their keys', async () => {
      const deployment = (containers: object[]): object => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'merged' },
        spec: {
          replicas: 0,
          selector: { matchLabels: { app: 'merged' } },
          template: { metadata: { labels: { app: 'merged' } }, spec: { containers } },
        },
      })
      const main = {
        name: 'main',
        image: 'busybox',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      }
      await kubectl.apply(deployment([main, { name: 'side', image: 'busybox' }]))
      await kubectl.ok('set env deployment/merged -c main C=3')
      await kubectl.apply(deployment([{ ...main, env: [{ name: 'B', value: '20' }] }]))
      assert.equal(
        await kubectl.ok([
          'get',
          'deployment',
          'merged',
          '-o',
          'jsonpath={range .spec.template.spec.containers[*]}{.name}:{range .env[*]} {.name}={.value}{end};{end}',
        ]),
        'main: B=20 C=3;',
      )
    })

    it('applies on the server: owners, conflicts, and taking over from the client side', async () => {
      await kubectl.ok('apply -f -', { stdin: list([configMap('shared', { a: '1', b: '2' })]) })
      const serverSide = 'apply --server-side -f -'
      assert.equal(
        await kubectl.ok(serverSide, { stdin: list([configMap('shared', { a: '1' })]) }),
        'configmap/shared serverside-applied\n',
      )
      const taken = await kubectl.json<ConfigMap>('get configmap shared --show-managed-fields')
      assert.deepEqual(taken.data, { a: '1' }, 'what the client side had applied before is given up')
      assert.deepEqual(
        taken.metadata.managedFields.map(({ manager, operation }) => [manager, operation]),
        [
          ['kubectl', 'Apply'],
          ['kubectl-last-applied', 'Apply'],
        ],
      )
      const conflict = await kubectl.refused(`${serverSide} --field-manager=other`, {
        stdin: list([configMap('shared', { a: '2' })]),
      })
      assert.match(conflict, /^error: Apply failed with 1 conflict: \.data\.a is owned by "kubectl" /)
      assert.equal(await kubectl.value('configmap/shared', '.data.a'), '1')
      await kubectl.ok(`${serverSide} --field-manager=other --force-conflicts`, {
        stdin: list([configMap('shared', { a: '2' })]),
      })
      const owners = (await kubectl.json<ConfigMap>('get configmap shared --show-managed-fields')).metadata
        .managedFields
      assert.deepEqual(
        owners.filter(({ fieldsV1 }) => JSON.stringify(fieldsV1).includes('"f:a"')).map(({ manager }) => manager),
        ['other'],
      )
    })

    it('takes over on the server what the client side had applied and nobody changed since', async () => {
      const serverSide = 'apply --server-side -f -'
      const owners = async (name: string): Promise<string[]> =>
        (await kubectl.json<ConfigMap>(`get configmap ${name} --show-managed-fields`)).metadata.managedFields.map(
          ({ manager, operation }) => `${manager} ${operation}`,
        )
      await kubectl.ok('apply -f -', { stdin: list([configMap('moved', { a: '1', b: '2' })]) })
      assert.deepEqual(await owners('moved'), ['kubectl-client-side-apply Update'])
      assert.equal(
        await kubectl.ok(serverSide, { stdin: list([configMap('moved', { a: '9' })]) }),
        'configmap/moved serverside-applied\n',
      )
      assert.deepEqual((await kubectl.json<ConfigMap>('get configmap moved')).data, { a: '9' })
      assert.deepEqual(await owners('moved'), ['kubectl Apply', 'kubectl-last-applied Apply'])

      await kubectl.ok('apply -f -', { stdin: list([configMap('touched', { a: '1', b: '2' })]) })
      await kubectl.ok(['patch', 'configmap', 'touched', '-p', '{"data":{"a":"5"}}'])
      const conflict = await kubectl.refused(serverSide, { stdin: list([configMap('touched', { a: '9', b: '9' })]) })
      assert.match(
        conflict,
        /^error: Apply failed with 1 conflict: \.data\.a is owned by "kubectl-patch" \(Update since /,
      )
      assert.deepEqual((await kubectl.json<ConfigMap>('get configmap touched')).data, { a: '5', b: '2' })
    })

    it('does not undo on the server what kubectl itself scaled, unless that is forced', async () => {
      const deployment = (replicas: number): string =>
        list([
          {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            metadata: { name: 'scaled' },
            spec: {
              replicas,
              selector: { matchLabels: { app: 'scaled' } },
              template: {
                metadata: { labels: { app: 'scaled' } },
                spec: { nodeSelector: { there: 'is-none' }, containers: [{ name: 'main', image: 'busybox' }] },
              },
            },
          },
        ])
      const apply = 'apply --server-side -f -'
      await kubectl.ok(apply, { stdin: deployment(0) })
      await kubectl.ok('scale deployment/scaled --replicas=2')
      const conflict = await kubectl.refused(apply, { stdin: deployment(1) })
      assert.match(
        conflict,
        /^error: Apply failed with 1 conflict: \.spec\.replicas is owned by "kubectl" \(Update of scale since /,
      )
      assert.equal(await kubectl.value('deployment/scaled', '.spec.replicas'), '2')
      await kubectl.ok(apply, { stdin: deployment(2) })
      await kubectl.ok(`${apply} --force-conflicts`, { stdin: deployment(0) })
      await kubectl.ok(apply, { stdin: deployment(1) })
      await kubectl.ok('delete deployment scaled')
    })

    it('keeps what the client side compares with, while both sides apply', async () => {
      await kubectl.ok('apply -f -', { stdin: list([configMap('both', { a: '1' })]) })
      await kubectl.ok('apply --server-side -f -', { stdin: list([configMap('both', { a: '1', b: '2' })]) })
      assert.match(await kubectl.ok('apply view-last-applied configmap both'), /^ {2}b: "2"$/m)
      await kubectl.ok('apply -f -', { stdin: list([configMap('both', { a: '1' })]) })
      assert.deepEqual((await kubectl.json<ConfigMap>('get configmap both')).data, { a: '1' })
    })

    it('tells the difference on both sides, and changes nothing', async () => {
      await kubectl.ok('apply -f -', { stdin: list([configMap('old', { a: '1', b: '2' })]) })
      const [version] = [await kubectl.value('configmap/old', '.metadata.resourceVersion')]
      const changed = list([configMap('old', { a: '1', b: '3' }), configMap('young', { x: 'y' })])
      const [client, server, same, dry, dryServer] = await Promise.all([
        kubectl.run('diff -f -', { stdin: changed }),
        kubectl.run('diff --server-side --force-conflicts -f -', { stdin: changed }),
        kubectl.run('diff -f -', { stdin: list([configMap('old', { a: '1', b: '2' })]) }),
        kubectl.ok('apply --dry-run=client -f -', { stdin: changed }),
        kubectl.ok('apply --dry-run=server -o json -f -', { stdin: list([configMap('old', { b: '4' })]) }),
      ])
      for (const { code, stdout } of [client, server]) {
        assert.equal(code, 1)
        assert.match(stdout, /^-  b: "2"\n\+  b: "3"$/m)
        assert.match(stdout, /^\+  x: "y"$/m)
      }
      assert.deepEqual([same.code, same.stdout], [0, ''])
      assert.equal(dry, 'configmap/old configured (dry run)\nconfigmap/young created (dry run)\n')
      assert.deepEqual((JSON.parse(dryServer) as ConfigMap).data, { b: '4' })
      assert.equal(await kubectl.value('configmap/old', '.metadata.resourceVersion'), version)
      await kubectl.refused('get configmap young')
    })

    it('prunes by labels what is no longer there', async () => {
      const prune = (...objects: object[]): Promise<string> =>
        kubectl.ok(
          'apply -f - --prune -l set=pruned --prune-allowlist=core/v1/ConfigMap --prune-allowlist=core/v1/Secret',
          { stdin: list(objects) },
        )
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'p3', labels: { set: 'pruned' } } }
      await kubectl.apply(configMap('stays'))
      await prune(configMap('p1', undefined, { set: 'pruned' }), configMap('p2', undefined, { set: 'pruned' }), secret)
      assert.equal(await names('set=pruned'), 'configmap/p1\nconfigmap/p2\nsecret/p3\n')
      assert.match(
        await prune(configMap('p1', undefined, { set: 'pruned' })),
        /^configmap\/p1 unchanged\nconfigmap\/p2 pruned\nsecret\/p3 pruned\n$/,
      )
      assert.equal(await names('set=pruned'), 'configmap/p1\n')
      await kubectl.ok('get configmap stays')
    })

    it('prunes by sets of applied objects', async () => {
      const prune = (...objects: object[]): Promise<string> =>
        kubectl.ok('apply -f - --prune -n applying --applyset=configmaps/parts', {
          stdin: list(objects),
          env: { KUBECTL_APPLYSET: 'true' },
        })
      await prune(configMap('s1'), { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's2' } })
      assert.match(await prune(configMap('s1')), /^configmap\/s1 unchanged\nsecret\/s2 pruned\n$/m)
      assert.equal(await names('applyset.kubernetes.io/part-of'), 'configmap/s1\n')
    })

    it('applies, shows and deletes what a kustomization makes', async () => {
      await mkdir(join(kubectl.folder, 'k/base'), { recursive: true })
      await Promise.all([
        kubectl.file('k/base/kustomization.yaml', 'resources: [cm.json]\n'),
        kubectl.file('k/base/cm.json', JSON.stringify(configMap('app', { a: '1' }))),
        kubectl.file(
          'k/kustomization.yaml',
          'resources: [base]\nnamePrefix: my-\nlabels: [{pairs: {from: kustomize}}]\nconfigMapGenerator: [{name: made, literals: [x=y]}]\npatches: [{patch: "{kind: ConfigMap, apiVersion: v1, metadata: {name: app}, data: {b: \\"2\\"}}"}]\n',
        ),
      ])
      assert.match(await kubectl.ok('kustomize k'), /^ {2}name: my-app$/m)
      assert.match(await kubectl.ok('apply -k k'), /^configmap\/my-app created\nconfigmap\/my-made-\w+ created\n$/)
      assert.deepEqual((await kubectl.json<ConfigMap>('get configmap my-app')).data, { a: '1', b: '2' })
      assert.match(await kubectl.ok('get -k k -o name'), /^configmap\/my-app\nconfigmap\/my-made-\w+\n$/)
      assert.equal((await kubectl.run('diff -k k')).code, 0)
      await kubectl.ok('delete -k k')
      assert.equal(await names('from=kustomize'), '')
    })

    it('takes folders, several files, and stops at what is wrong in one', async () => {
      await rm(join(kubectl.folder, 'many'), { recursive: true, force: true })
      await mkdir(join(kubectl.folder, 'many/deep'), { recursive: true })
      await Promise.all([
        kubectl.file('many/a.json', JSON.stringify(configMap('m-a'))),
        kubectl.file('many/deep/b.json', JSON.stringify(configMap('m-b'))),
        kubectl.file(
          'many/c.json',
          list([configMap('m-c'), { apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'x' } }]),
        ),
      ])
      assert.equal(
        await kubectl.ok('apply -R -f many/deep -f many/a.json'),
        'configmap/m-b created\nconfigmap/m-a created\n',
      )
      const { code, stdout, stderr } = await kubectl.run('apply -f many')
      assert.deepEqual([code, stdout], [1, 'configmap/m-a unchanged\nconfigmap/m-c created\n'])
      assert.match(stderr, /no matches for kind "CronJob" in version "batch\/v1"/)
    })
  })
}
