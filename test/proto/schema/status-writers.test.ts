import assert from 'node:assert/strict'
import { messageSchema, resources, schema } from '../../../proto/schema/schema.ts'
import { fieldsOfWriter } from '../../../proto/schema/status-writers.ts'

describe('fields of a status with one writer', () => {
  it('are those that the schema says, and no others', () => {
    assert.deepEqual(fieldsOfWriter('NetworkStatus', 'controlPlane'), ['cidrs', 'vni', 'blocks'])
    assert.deepEqual(fieldsOfWriter('NetworkStatus', 'node'), [])
    assert.deepEqual([...fieldsOfWriter('NodeStatus', 'node')].sort(), [
      'addresses',
      'allocatable',
      'capacity',
      'daemonEndpoints',
      'images',
      'nodeInfo',
    ])
    const ofPod = fieldsOfWriter('PodStatus', 'node')
    assert.ok(ofPod.includes('containerStatuses') && ofPod.includes('podIPs'))
    // What an agent judges only some items of, or nothing.
    for (const name of ['conditions', 'timeline', 'qosClass', 'nominatedNodeName', 'observedGeneration'] as const)
      assert.ok(!ofPod.includes(name), name)
  })

  it('are in the status of a kind, where writes of them are looked at', () => {
    const statuses = new Set(
      resources.map(({ kind }) => messageSchema(kind).fields.find(({ name }) => name === 'status')?.type),
    )
    for (const { name, fields } of Object.values(schema.messages))
      for (const { name: field, options } of fields) {
        if (options.writer === undefined) continue
        assert.ok(['node', 'controlPlane'].includes(options.writer), `${name}.${field}`)
        assert.ok(statuses.has(name), `${name}.${field}`)
      }
  })
})
