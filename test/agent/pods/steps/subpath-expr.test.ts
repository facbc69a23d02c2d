import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { expandedSubPath } from '../../../../agent/pods/steps/environment.ts'
import { parseReference } from '../../../../agent/images/reference.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { EnvVar, Pod } from '../../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../../fakes.ts'
import { NodeFixture } from '../fixture.ts'

describe('a place inside a volume that the environment tells', () => {
  it('is the expression with the values of its variables', () => {
    const variables = new Map([
      ['A', 'a'],
      ['B', 'b/c'],
      ['UP', '..'],
      ['ROOT', '/tmp'],
      ['TICKS', '`hostname`'],
    ])
    assert.equal(expandedSubPath('$(A)/$(B)-$$(A)', variables), 'a/b/c-$(A)')
    assert.equal(expandedSubPath('$(TICKS)', variables), '`hostname`')
    for (const [expression, says] of [
      ['$(NONE)', /needs the variable NONE/],
      ['$(UP)', /must not contain "\.\."/],
      ['a/$(UP)/b', /\.\./],
      ['$(ROOT)', /absolute/],
    ] as const) {
      assert.throws(() => expandedSubPath(expression, variables), { code: 'FailedPrecondition', message: says })
    }
  })

  describe('on a node', () => {
    let node: NodeFixture

    beforeEach(async () => {
      node = new NodeFixture()
      await node.start()
      await node.welcome()
    })

    afterEach(() => node.remove())

    function podWith(env: EnvVar[], subPathExpr: string, annotations: Record<string, string> = {}): Pod {
      const pod = makePod('web', {
        volumes: [{ name: 'd', emptyDir: {} }],
        containers: [makeContainer('main', { env, volumeMounts: [{ name: 'd', mountPath: '/d', subPathExpr }] })],
      })
      return { ...pod, metadata: { ...pod.metadata, annotations } }
    }

    it('is mounted', async () => {
      const pod = podWith(
        [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } } }],
        'logs/$(NAME)',
      )
      node.assignAll(pod)
      await node.phase('web', 'Running')
      const place = await stat(`${node.folders.emptyDir(pod, 'd')}/logs/web`)
      assert.equal(
        (await stat(node.specs[0]!.mounts.find(({ destination }) => destination === '/d')!.source)).ino,
        place.ino,
      )
    })

    for (const [what, value] of [
      ['leads out of the volume', '..'],
      ['is absolute', '/tmp'],
    ] as const) {
      it(`keeps the container from being made where it ${what}`, async () => {
        node.assignAll(podWith([{ name: 'PLACE', value }], '$(PLACE)'))
        await node.reason('web', 'CreateContainerConfigError')
        assert.equal(node.specs.length, 0)
        assert.ok(
          node.reports.events.some((event) => event.reason === 'Failed' && event.message?.includes('subPathExpr')),
        )
      })
    }

    it('is looked at again once the pod says something else', async () => {
      const env: EnvVar[] = [
        { name: 'PLACE', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['place']", apiVersion: 'v1' } } },
      ]
      node.assignAll(podWith(env, '$(PLACE)/data'))
      await node.reason('web', 'CreateContainerConfigError')
      node.assignAll(podWith(env, '$(PLACE)/data', { place: 'here' }))
      await until('it runs', async () => (await node.clock.advance(1000), node.status('web').phase === 'Running'))
    })
  })
})

describe('an image reference that is none', () => {
  const node = new NodeFixture()

  before(async () => {
    await node.start()
    await node.welcome()
    node.images.failure = (reference) => {
      try {
        parseReference(reference)
        return undefined
      } catch (thrown) {
        return GantryError.from(thrown)
      }
    }
  })

  after(() => node.remove())

  for (const imagePullPolicy of ['Always', 'IfNotPresent', 'Never'] as const) {
    it(`is told as that with pull policy ${imagePullPolicy}, however often it is tried`, async () => {
      const name = imagePullPolicy.toLowerCase()
      node.assign([makePod(name, { containers: [makeContainer('main', { image: 'INVALID ?', imagePullPolicy })] })])
      await node.reason(name, 'InvalidImageName')
      const tries = node.images.ensured.length
      await until('it is tried again', async () => (await node.clock.advance(1000), node.images.ensured.length > tries))
      assert.equal((await node.reason(name, 'InvalidImageName')).phase, 'Pending')
    })
  }
})
