import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

describe('Kubernetes face: nodes and namespaces', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  it('says of nodes Ready, NotReady or Unknown, and what kubectl shows of them', async () => {
    const nodeInfo = {
      kernelVersion: '6.12.0',
      osImage: 'Debian',
      containerRuntimeVersion: 'crun://1.21',
      kubeletVersion: 'v1.33.0+gantry-0.1.0',
    }
    const cases = [
      ['ready', [{ type: 'Ready', status: 'True' }], undefined, 'Ready'],
      ['not', [{ type: 'Ready', status: 'False' }], undefined, 'NotReady'],
      [
        'lost',
        [
          { type: 'Ready', status: 'Unknown', reason: 'NodeLost' },
          { type: 'EvictionHeld', status: 'True' },
        ],
        undefined,
        'NotReady',
      ],
      ['suspect', [{ type: 'Ready', status: 'Unknown', reason: 'NodeSuspect' }], true, 'NotReady,SchedulingDisabled'],
      ['never', [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusNeverUpdated' }], undefined, 'NotReady'],
      ['new', undefined, undefined, 'Unknown'],
    ] as const
    for (const [name, conditions, unschedulable, status] of cases) {
      const body = {
        metadata: { name, labels: { 'node-role.kubernetes.io/worker': '' } },
        spec: { unschedulable },
        status: { conditions, nodeInfo, addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
      }
      const made = await face.send('POST', '/api/v1/nodes', { body })
      assert.equal(made.status, 201, made.body.toString())
      const written = await face.send('PATCH', `/api/v1/nodes/${name}/status`, {
        type: 'application/merge-patch+json',
        body: { status: body.status },
      })
      assert.equal(written.status, 200, written.body.toString())
      const { json: table } = await face.get(`/api/v1/nodes/${name}`, {
        headers: { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      })
      const cells = Object.fromEntries(
        table.columnDefinitions.map((column: { name: string }, index: number) => [
          column.name,
          table.rows[0].cells[index],
        ]),
      )
      assert.equal(cells.Status, status, name)
      assert.deepEqual(
        [
          cells.Roles,
          cells['Internal-IP'],
          cells['OS-Image'],
          cells['Kernel-Version'],
          cells['Container-Runtime'],
          cells.Version,
        ],
        ['worker', '10.0.0.1', 'Debian', '6.12.0', 'crun://1.21', 'v1.33.0+gantry-0.1.0'],
      )
    }
  })

  it('protects the namespaces that Kubernetes protects, and no others', async () => {
    for (const name of ['kube-system', 'kube-public', 'kube-node-lease', 'mine'])
      assert.equal((await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name } } })).status, 201)
    for (const [name, status] of [
      ['default', 403],
      ['kube-system', 403],
      ['kube-public', 403],
      ['kube-node-lease', 200],
      ['mine', 200],
    ] as const) {
      assert.equal((await face.send('DELETE', `/api/v1/namespaces/${name}`)).status, status, name)
    }
  })

  it('takes a definition with properties beside additionalProperties: true, and none with a schema beside them', async () => {
    const definition = (additionalProperties: unknown): object => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'mixes.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'mixes', singular: 'mix', kind: 'Mix', listKind: 'MixList' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', properties: { a: { type: 'string' } }, additionalProperties } },
              },
            },
          },
        ],
      },
    })
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
    for (const wrong of [{ type: 'string' }, false])
      assert.equal((await face.send('POST', path, { body: definition(wrong) })).status, 422)
    const made = await face.send('POST', path, { body: definition(true) })
    assert.equal(made.status, 201, made.body.toString())
  })
})
