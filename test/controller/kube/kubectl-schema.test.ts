import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { KubeRequest } from '../../../controller/kube/contract.ts'
import { Catalog } from '../../../controller/kube/catalog.ts'
import { Discovery } from '../../../controller/kube/discovery/endpoints.ts'
import { groupsOf } from '../../../controller/kube/discovery/groups.ts'
import { encodeDocument } from '../../../controller/kube/openapi/gnostic.ts'
import { documentV2 } from '../../../controller/kube/openapi/v2.ts'
import { documentWireV2 } from '../../../controller/kube/openapi/wire-v2.ts'
import { definitions } from '../../../proto/gen/definitions.ts'
import { docs } from '../../../proto/gen/docs.ts'
import { TestApiServer } from './test-api-server.ts'
import { Kubectl } from './kubectl.ts'

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', creationTimestamp: null },
  spec: {
    containers: [
      {
        name: 'web',
        image: 'web',
        resources: { limits: { cpu: 1 } },
        ports: [{ containerPort: 80 }],
        readinessProbe: { httpGet: { port: 'http' } },
      },
    ],
  },
  status: {},
}

describe('kubectl learns what is served', () => {
  let face: TestApiServer
  let kubectl: Kubectl
  before(async () => {
    face = await TestApiServer.start()
    kubectl = await Kubectl.of(face)
  })
  after(async () => {
    await kubectl.stop()
    await face.stop()
  })

  const lines = async (...args: string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await kubectl.run(args)
    assert.equal(code, 0, stderr)
    return stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd().replace(/\s{2,}|\t/g, ' '))
  }

  it('api-versions', async () => {
    const versions = await lines('api-versions')
    for (const version of ['v1', 'apps/v1', 'gateway.networking.k8s.io/v1beta1'])
      assert(versions.includes(version), version)
  })

  it('api-resources', async () => {
    const wide = await lines('api-resources', '-o', 'wide')
    assert(
      wide.includes(
        'deployments deploy apps/v1 true Deployment create,delete,deletecollection,get,list,patch,update,watch all',
      ),
      wide.join('\n'),
    )
    assert(
      wide.includes('nodes no v1 false Node create,delete,deletecollection,get,list,patch,update,watch'),
      wide.join('\n'),
    )
    assert.deepEqual(await lines('api-resources', '--categories', 'all', '--api-group', 'apps', '-o', 'name'), [
      'deployments.apps',
      'replicasets.apps',
    ])
  })

  it('explain', async () => {
    const deployment = await lines('explain', 'deployments')
    assert.deepEqual(deployment.slice(0, 3), ['GROUP: apps', 'KIND: Deployment', 'VERSION: v1'])
    assert(deployment.includes(' spec <DeploymentSpec>'), deployment.join('\n'))
    const containers = await lines('explain', 'pod.spec.containers', '--recursive')
    for (const line of [
      ' args <[]string>',
      ' containerPort <integer> -required-',
      ' limits <map[string]Quantity>',
      ' enum: TCP, UDP, SCTP',
    ])
      assert(containers.includes(line), `${line} in ${containers.join('\n')}`)
    const strategy = await lines('explain', 'deploy.spec.strategy.type', '--api-version', 'apps/v1')
    assert(strategy.includes('ENUM:') && strategy.includes(' Recreate'), strategy.join('\n'))
    assert.match((await kubectl.run(['explain', 'pod.spec.container'])).stderr, /field "container" does not exist/)
  })

  it('that the server validates: it asks for that, and says what was wrong', async () => {
    const wrong = JSON.stringify({ ...POD, spec: { containers: [{ ...POD.spec.containers[0], imag: 'x' }] } })
    const refused = await kubectl.run(['create', '--validate=true', '-f', '-'], wrong)
    assert.deepEqual(
      [refused.code, /unknown field "spec.containers\[0\].imag"/.test(refused.stderr)],
      [1, true],
      refused.stderr,
    )
    assert.match(
      (await kubectl.run(['create', '--validate=true', '--dry-run=server', '-f', '-'], JSON.stringify(POD))).stdout,
      /pod\/web created \(server dry run\)/,
    )
  })

  it('how lists are merged: a client-side apply takes out what is no longer there', async () => {
    const service = (ports: number[]): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { ports: ports.map((port) => ({ name: `p${port}`, port })) },
      })
    for (const ports of [
      [80, 443],
      [443, 8080],
    ]) {
      const { code, stderr } = await kubectl.run(['apply', '-f', '-'], service(ports))
      assert.equal(code, 0, stderr)
    }
    const { stdout } = await kubectl.run(['get', 'service', 'web', '-o', 'jsonpath={.spec.ports[*].port}'])
    assert.deepEqual(stdout.split(' ').sort(), ['443', '8080'])
  })

  it('that a field excludes another: a Deployment can change its strategy by a client-side apply', async () => {
    const deployment = (strategy: object): string =>
      JSON.stringify({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web' },
        spec: {
          strategy,
          selector: { matchLabels: { app: 'web' } },
          template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web' }] } },
        },
      })
    for (const strategy of [{}, { type: 'Recreate' }]) {
      const { code, stderr } = await kubectl.run(['apply', '-f', '-'], deployment(strategy))
      assert.equal(code, 0, stderr)
    }
    assert.equal(
      (await kubectl.run(['get', 'deployment', 'web', '-o', 'jsonpath={.spec.strategy}'])).stdout,
      '{"type":"Recreate"}',
    )
  })
})

describe('kubectl by OpenAPI version 2, in protobuf', () => {
  let server: Server
  let kubectl: Kubectl
  let face: TestApiServer
  const asked: string[] = []

  /** A server of former days: no version 3, and it does not validate itself. */
  before(async () => {
    const catalog = new Catalog([])
    const document = await documentV2(groupsOf(catalog), { docs, definitions }, () => Promise.resolve())
    const bytes = encodeDocument(
      JSON.parse(JSON.stringify(document).replaceAll('"fieldValidation"', '"otherwise"')) as never,
      documentWireV2,
    )
    const { endpoints } = new Discovery(catalog, [])
    server = createServer((request, response) => {
      const [path = '/'] = request.url!.split('?')
      asked.push(`${path} ${request.headers.accept}`)
      if (path === '/openapi/v2')
        return void response
          .setHeader('Content-Type', 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
          .end(bytes)
      const endpoint =
        endpoints.find((one) => one.path === path) ??
        endpoints.find((one) => one.path.length > 1 && one.path.endsWith('/') && path.startsWith(one.path))
      if (endpoint === undefined) return void response.writeHead(404).end()
      void endpoint
        .handle({
          method: request.method!,
          path,
          headers: request.headers,
          query: new URLSearchParams(),
        } as KubeRequest)
        .then((answer) => {
          if (answer.is === 'object') response.setHeader('Content-Type', 'application/json').end(answer.object.json())
          else if (answer.is === 'bytes') response.setHeader('Content-Type', answer.type).end(answer.body)
          else response.writeHead(500).end()
        })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    face = await TestApiServer.start()
    kubectl = await Kubectl.of(face)
  })
  after(async () => {
    await kubectl.stop()
    await face.stop()
    await new Promise((resolve) => {
      server.close(resolve)
      server.closeAllConnections()
    })
  })

  const run = (args: string[], input = ''): ReturnType<Kubectl['run']> =>
    kubectl.run(
      ['--kubeconfig=/dev/null', `--server=http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...args],
      input,
    )

  it('explains', async () => {
    const { code, stdout, stderr } = await run(['explain', '--output=plaintext-openapiv2', 'pod.spec.containers'])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /imagePullPolicy\t<string>/)
    assert(asked.includes('/openapi/v2 application/com.github.proto-openapi.spec.v2@v1.0+protobuf'), asked.join('\n'))
  })

  it('validates', async () => {
    const create = (object: object): ReturnType<typeof run> =>
      run(['create', '--dry-run=client', '--validate=true', '-f', '-'], JSON.stringify(object))
    const good = await create(POD)
    assert.deepEqual([good.code, good.stderr], [0, ''])
    const bad = await create({
      ...POD,
      spec: { containers: [{ image: 'web', imag: 'x', ports: [{ containerPort: 'eighty' }] }] },
    })
    assert.equal(bad.code, 1)
    for (const fault of [/unknown field "imag"/, /missing required field "name"/, /containerPort.*invalid type/])
      assert.match(bad.stderr, fault)
  })
})
