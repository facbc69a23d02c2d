import assert from 'node:assert/strict'
import { GantryError } from '../../../proto/base/errors.ts'
import { explain } from '../../../proto/schema/explain.ts'

describe('explain', () => {
  it('describes a kind with its fields', async () => {
    const { kind, apiVersion, path, field } = await explain('deploy')
    assert.deepEqual([kind, apiVersion, path], ['Deployment', 'apps/v1', ''])
    assert.deepEqual(
      field.children.map(({ name, type }) => `${name} ${type}`),
      ['apiVersion string', 'kind string', 'metadata ObjectMeta', 'spec DeploymentSpec', 'status DeploymentStatus'],
    )
    assert.match(field.description, /^Pods of one kind/)
    assert(field.children.every((child) => child.description !== '' && child.children.length === 0))
  })

  it('describes a field with its rules', async () => {
    const { field, path } = await explain('pods.spec.restartPolicy')
    assert.equal(path, 'spec.restartPolicy')
    assert.deepEqual(
      [field.type, field.enum, field.default, field.required, field.children],
      ['string', ['Always', 'OnFailure', 'Never'], 'Always', false, []],
    )
  })

  it('shows what is required, frozen, read-only, keyed, not acted on', async () => {
    const selector = (await explain('deployment.spec.selector')).field
    assert.deepEqual([selector.required, selector.frozen], [true, true])
    assert.equal((await explain('pod.status')).field.readOnly, true)
    assert.deepEqual((await explain('pod.spec.containers')).field.mergeKey, ['name'])
    const scheduler = (await explain('pod.spec.schedulerName')).field
    assert.deepEqual(scheduler.unsupported, { reason: 'there is one scheduler', accepted: ['default-scheduler'] })
  })

  it('names types as they are in YAML', async () => {
    const types = async (path: string): Promise<string> => (await explain(path)).field.type
    assert.equal(await types('pod.spec.containers'), '[]Container')
    assert.equal(await types('pod.metadata.labels'), 'map[string]string')
    assert.equal(await types('secret.data'), 'map[string]base64')
    assert.equal(await types('pod.spec.containers.resources.limits'), 'map[string]Quantity')
    assert.equal(await types('pod.spec.hostPID'), 'boolean')
    assert.equal(await types('deploy.spec.replicas'), 'integer')
  })

  it('finds the fields of inlined messages, and skips indexes', async () => {
    assert.equal((await explain('pod.spec.volumes[0].configMap.name')).path, 'spec.volumes.configMap.name')
  })

  it('goes all the way down on request, but not into what is refused', async () => {
    const { field } = await explain('pod.spec', { recursive: true })
    const find = (name: string): typeof field => field.children.find((child) => child.name === name)!
    assert(
      find('containers')
        .children.find((child) => child.name === 'env')!
        .children.some((child) => child.name === 'valueFrom' && child.children.length > 0),
    )
    assert.deepEqual(find('affinity').children, [])
  })

  const unknown: [string, RegExp][] = [
    ['pot', /"pot" is no kind: did you mean pod\?/],
    ['pod.spec.container', /"container" is no field of Pod.spec: did you mean containers\?/],
    ['pod.spec.nodeName.x', /"x" is no field of Pod.spec.nodeName$/],
  ]
  for (const [path, message] of unknown) {
    it(`does not know ${path}`, async () => {
      await assert.rejects(explain(path), (error) => GantryError.is(error, 'NotFound') && message.test(error.message))
    })
  }
})
