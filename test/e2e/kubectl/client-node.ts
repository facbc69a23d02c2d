/**
 * `@kubernetes/client-node`: objects, server-side apply, watches, informers, streams, custom objects, leases and
 * errors, as its users write them.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import * as k8s from '@kubernetes/client-node'
import { eventually } from '../../eventually.ts'
import { listening } from '../probes.ts'
import { pod, type Kubectl } from './kubectl.ts'

export function clientNode(root: () => Kubectl): void {
  describe('@kubernetes/client-node', () => {
    const namespace = 'client-node'
    let kubectl: Kubectl
    let config: k8s.KubeConfig
    let core: k8s.CoreV1Api
    let apps: k8s.AppsV1Api

    const configMap = (
      name: string,
      data: Record<string, string> = {},
      labels: Record<string, string> = {},
    ): k8s.V1ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels }, data })

    before(async () => {
      kubectl = await root().within(namespace)
      config = new k8s.KubeConfig()
      config.loadFromFile(kubectl.kubeconfig)
      core = config.makeApiClient(k8s.CoreV1Api)
      apps = config.makeApiClient(k8s.AppsV1Api)
      await kubectl.ready(
        pod('shell', 'echo one; echo two; mkdir /w; echo served > /w/index.html; exec httpd -f -p 8080 -h /w', {
          container: listening(8080),
        }),
        pod('reader', 'echo begin; cat; echo end; exec sleep 1000', { container: { stdin: true, stdinOnce: true } }),
      )
    })
    after(() => kubectl.leave())

    it('creates, reads, replaces, lists page by page and deletes', async () => {
      for (const name of ['a', 'b', 'c'])
        await core.createNamespacedConfigMap({ namespace, body: configMap(name, { name }, { set: 'crud' }) })
      const read = await core.readNamespacedConfigMap({ namespace, name: 'a' })
      assert.ok(read.metadata!.creationTimestamp instanceof Date)
      await core.replaceNamespacedConfigMap({ namespace, name: 'a', body: { ...read, data: { name: 'changed' } } })
      const pages: string[][] = []
      for (let token: string | undefined; pages.length === 0 || token !== undefined;) {
        const page = await core.listNamespacedConfigMap({
          namespace,
          labelSelector: 'set=crud',
          limit: 2,
          _continue: token,
        })
        pages.push(page.items.map(({ data }) => data!.name!))
        token = page.metadata!._continue === '' ? undefined : page.metadata!._continue
      }
      assert.deepEqual(pages, [['changed', 'b'], ['c']])
      await core.deleteNamespacedConfigMap({ namespace, name: 'a' })
      await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'set=crud' })
      assert.deepEqual((await core.listNamespacedConfigMap({ namespace, labelSelector: 'set=crud' })).items, [])
    })

    it('patches in all types, applies on the server, and scales', async () => {
      const objects = k8s.KubernetesObjectApi.makeApiClient(config)
      const object = configMap('patched', { a: '1' })
      await objects.create(object)
      const change = (data: object, type: k8s.PatchStrategy): Promise<k8s.V1ConfigMap> =>
        objects.patch(
          { ...object, data } as k8s.V1ConfigMap,
          undefined,
          undefined,
          'tester',
          type === k8s.PatchStrategy.ServerSideApply ? true : undefined,
          type,
        )
      assert.deepEqual((await change({ b: '2' }, k8s.PatchStrategy.MergePatch)).data, { a: '1', b: '2' })
      assert.deepEqual((await change({ c: '3' }, k8s.PatchStrategy.StrategicMergePatch)).data, {
        a: '1',
        b: '2',
        c: '3',
      })
      const applied = await change({ d: '4' }, k8s.PatchStrategy.ServerSideApply)
      assert.equal(applied.data!.d, '4')
      assert.ok(
        applied.metadata!.managedFields!.some(
          ({ manager, operation }) => manager === 'tester' && operation === 'Apply',
        ),
      )
      const patched = await core.patchNamespacedConfigMap(
        { namespace, name: 'patched', body: [{ op: 'replace', path: '/data', value: { e: '5' } }] },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch),
      )
      assert.deepEqual(patched.data, { e: '5' })
      const labels = { app: 'scaled' }
      await apps.createNamespacedDeployment({
        namespace,
        body: {
          metadata: { name: 'scaled' },
          spec: {
            replicas: 0,
            selector: { matchLabels: labels },
            template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'gantry/hello:1.0' }] } },
          },
        },
      })
      // The controller writes the status of what is new: who loses against it reads again.
      await eventually(async () => {
        const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'scaled' })
        await apps.replaceNamespacedDeploymentScale({
          namespace,
          name: 'scaled',
          body: { ...scale, spec: { replicas: 1 } },
        })
      })
      await eventually(
        async () => (await apps.readNamespacedDeployment({ namespace, name: 'scaled' })).status?.readyReplicas === 1,
        60_000,
      )
    })

    it('watches from where a list was, and with an informer that connects again', async () => {
      const { metadata } = await core.listNamespacedConfigMap({ namespace })
      const seen: string[] = []
      const watching = await new k8s.Watch(config).watch(
        `/api/v1/namespaces/${namespace}/configmaps`,
        { resourceVersion: metadata!.resourceVersion, labelSelector: 'set=watched' },
        (phase, object: k8s.V1ConfigMap) => seen.push(`${phase} ${object.metadata!.name}`),
        () => undefined,
      )
      const informer = k8s.makeInformer(
        config,
        `/api/v1/namespaces/${namespace}/configmaps`,
        () => core.listNamespacedConfigMap({ namespace, labelSelector: 'set=watched' }),
        'set=watched',
      )
      const told: string[] = []
      for (const verb of ['add', 'update', 'delete'] as const)
        informer.on(verb, (object) => told.push(`${verb} ${object.metadata!.name}`))
      informer.on('error', (error: { code?: string; name?: string }) => told.push(`error ${error.name}`))
      await informer.start()
      await core.createNamespacedConfigMap({ namespace, body: configMap('w', {}, { set: 'watched' }) })
      await eventually(() => told.includes('add w') && seen.includes('ADDED w'))
      await informer.stop()
      await core.createNamespacedConfigMap({ namespace, body: configMap('x', {}, { set: 'watched' }) })
      await core.deleteNamespacedConfigMap({ namespace, name: 'w' })
      await informer.start()
      await eventually(() => told.includes('add x') && told.includes('delete w') && seen.includes('DELETED w'))
      assert.deepEqual(
        informer.list().map((object) => object.metadata!.name),
        ['x'],
      )
      await informer.stop()
      watching.abort()
    })

    it('runs commands: outputs, input, exit code, size of a terminal', async () => {
      const exec = new k8s.Exec(config)
      const [out, err] = [new PassThrough(), new PassThrough()]
      const status = new Promise<k8s.V1Status>((resolve, reject) => {
        const input = new PassThrough()
        exec
          .exec(
            namespace,
            'shell',
            'main',
            ['sh', '-c', 'read line; echo $line; echo err >&2; exit 7'],
            out,
            err,
            input,
            false,
            resolve,
          )
          .then(() => input.write('through\n'), reject)
      })
      const { status: outcome, reason, details } = await status
      for (const stream of [out, err]) stream.end()
      assert.deepEqual(
        [outcome, reason, details?.causes?.[0]?.message, await text(out), await text(err)],
        ['Failure', 'NonZeroExitCode', '7', 'through\n', 'err\n'],
      )
    })

    it('attaches, follows logs and forwards ports', async () => {
      const [output, input] = [new PassThrough(), new PassThrough()]
      let attached = ''
      output.on('data', (chunk: Buffer) => (attached += chunk.toString()))
      await new k8s.Attach(config).attach(namespace, 'reader', 'main', output, new PassThrough(), input, false)
      input.write('through\n')
      await eventually(() => attached.includes('through\n'))
      input.end()

      const lines = new PassThrough()
      let log = ''
      lines.on('data', (chunk: Buffer) => (log += chunk.toString()))
      const following = await new k8s.Log(config).log(namespace, 'shell', 'main', lines, { follow: true, tailLines: 1 })
      await eventually(() => log === 'two\n')
      following.abort()
      assert.equal(await core.readNamespacedPodLog({ namespace, name: 'shell', tailLines: 1 }), 'two\n')

      const forward = new k8s.PortForward(config)
      const server = createServer(
        (socket) => void forward.portForward(namespace, 'shell', [8080], socket, null, socket),
      )
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
      let answer = ''
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
      socket.write('GET / HTTP/1.0\r\n\r\n')
      await eventually(() => answer.endsWith('served\n'))
      socket.destroy()
      server.close()
    })

    it('copies files into a pod, and tells what is used', async () => {
      const folder = join(kubectl.folder, 'cp')
      await mkdir(join(folder, 'there'), { recursive: true })
      await writeFile(join(folder, 'there/file'), randomBytes(100_000))
      await new k8s.Cp(config).cpToPod(namespace, 'shell', 'main', join(folder, 'there'), '/tmp')
      await eventually(async () => (await kubectl.ok('exec shell -- stat -c %s /tmp/file')) === '100000\n')
      const [first] = await k8s.topNodes(core)
      assert.ok(Number(first!.CPU.Capacity) > 0)
      await eventually(
        async () =>
          (await new k8s.Metrics(config).getPodMetrics(namespace)).items.some(
            ({ metadata }) => metadata.name === 'shell',
          ),
        60_000,
      )
    })

    it('defines a kind and works with its objects', async () => {
      const [group, version, plural] = ['client-node.example.com', 'v1', 'crontabs']
      const schema = {
        type: 'object',
        properties: {
          spec: {
            type: 'object',
            required: ['schedule'],
            properties: { schedule: { type: 'string' }, replicas: { type: 'integer', minimum: 1, _default: 1 } },
          },
        },
      }
      const extensions = config.makeApiClient(k8s.ApiextensionsV1Api)
      await extensions.createCustomResourceDefinition({
        body: {
          metadata: { name: `${plural}.${group}` },
          spec: {
            group,
            scope: 'Namespaced',
            names: { plural, singular: 'crontab', kind: 'CronTab' },
            versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: schema } }],
          },
        },
      })
      const custom = config.makeApiClient(k8s.CustomObjectsApi)
      const place = { group, version, namespace, plural }
      const body = {
        apiVersion: `${group}/${version}`,
        kind: 'CronTab',
        metadata: { name: 'mine' },
        spec: { schedule: '@daily' },
      }
      const made = (await eventually(
        () => custom.createNamespacedCustomObject({ ...place, body }),
        60_000,
      )) as typeof body & { spec: { replicas: number } }
      assert.equal(made.spec.replicas, 1)
      await assert.rejects(
        custom.createNamespacedCustomObject({
          ...place,
          body: { ...body, metadata: { name: 'bad' }, spec: { replicas: 0 } },
        }),
        (error: k8s.ApiException<string>) => error.code === 422,
      )
      assert.equal(((await custom.listNamespacedCustomObject(place)) as { items: object[] }).items.length, 1)
      await extensions.deleteCustomResourceDefinition({ name: `${plural}.${group}` })
      await eventually(
        () =>
          custom.listNamespacedCustomObject(place).then(
            () => false,
            (error: k8s.ApiException<string>) => error.code === 404,
          ),
        60_000,
      )
    })

    it('elects a leader by a Lease: one writes, the other conflicts', async () => {
      const leases = config.makeApiClient(k8s.CoordinationV1Api)
      const lease = await leases.createNamespacedLease({
        namespace,
        body: {
          metadata: { name: 'leader' },
          spec: { holderIdentity: 'one', leaseDurationSeconds: 15, renewTime: new k8s.V1MicroTime() },
        },
      })
      const taken = await leases.replaceNamespacedLease({
        namespace,
        name: 'leader',
        body: {
          ...lease,
          spec: { ...lease.spec, holderIdentity: 'two', leaseTransitions: 1, renewTime: new k8s.V1MicroTime() },
        },
      })
      assert.equal(taken.spec!.holderIdentity, 'two')
      await assert.rejects(
        leases.replaceNamespacedLease({ namespace, name: 'leader', body: lease }),
        (error: k8s.ApiException<string>) => error.code === 409 && /"reason":"Conflict"/.test(error.body),
      )
    })

    it('hands on errors with code, reason and cause', async () => {
      const status = async (promise: Promise<unknown>): Promise<k8s.V1Status> =>
        promise.then(
          () => assert.fail('was not refused'),
          (error: k8s.ApiException<string>) => JSON.parse(error.body) as k8s.V1Status,
        )
      const missing = await status(core.readNamespacedPod({ namespace, name: 'nobody' }))
      assert.deepEqual([missing.code, missing.reason, missing.message], [404, 'NotFound', 'pods "nobody" not found'])
      const invalid = await status(core.createNamespacedConfigMap({ namespace, body: configMap('Bad_Name') }))
      assert.deepEqual(
        [invalid.code, invalid.reason, invalid.details?.causes?.map(({ field }) => field)],
        [422, 'Invalid', ['metadata.name']],
      )
      const taken = await status(core.createNamespacedPod({ namespace, body: pod('shell', 'true') as k8s.V1Pod }))
      assert.deepEqual([taken.code, taken.reason], [409, 'AlreadyExists'])
    })
  })
}
