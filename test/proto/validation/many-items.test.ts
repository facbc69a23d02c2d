/** Objects with as many items as fit into one, as somebody sends them who wants to keep the control plane busy. */
import assert from 'node:assert/strict'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { NETWORKS_ANNOTATION } from '../../../proto/objects/pod-networks.ts'
import { enforceableLimits, podLimits, podRequests } from '../../../proto/objects/pod-resources.ts'
import { podWarnings } from '../../../proto/objects/pod-warnings.ts'
import { validate, validateUpdate } from '../../../proto/validation/validation.ts'
import type { JsonObject, Pod } from '../../../proto/gen/types.ts'

const MANY = 20_000

const many = <T>(make: (index: number) => T): T[] => Array.from({ length: MANY }, (_, index) => make(index))

function pod(spec: JsonObject, annotations: Record<string, string> = {}): Pod {
  const metadata = { name: 'x', namespace: 'default', annotations }
  return applyDefaults(decodeJson('Pod', { metadata, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } }))
}

/**
 * What takes time that grows with the square of the items takes minutes of these; what does not, parts of a second.
 */
describe('many items', function () {
  this.timeout(10_000)

  it('of networks are looked at once each', () => {
    const names = many((index) => `n${index}`).join()
    const flaws = validate(pod({}, { [NETWORKS_ANNOTATION]: `${names},n1` }))
    assert.match(flaws.map(({ message }) => message).join(), /stands there twice/)
  })

  it('of tolerations are found again in an update, by all that they say but their seconds', () => {
    const said = many((index) => ({ key: `k${index}`, operator: 'Exists', effect: 'NoExecute' }))
    const stored = pod({ tolerations: said.map((toleration) => ({ ...toleration, tolerationSeconds: 5 })) })
    assert.deepEqual(validateUpdate(pod({ tolerations: [...said].reverse() }), stored), [])
    const [gone] = validateUpdate(pod({ tolerations: said.slice(1) }), stored)
    assert.equal(gone?.field, 'spec.tolerations')
  })

  it('of resources beside init containers are summed up', () => {
    const amounts = Object.fromEntries(many((index) => [`example.com/r${index}`, '1']))
    const sidecar = { name: 's', image: 'i', restartPolicy: 'Always', resources: { limits: amounts } }
    const limited = pod({ initContainers: [sidecar, ...many((index) => ({ name: `i${index}`, image: 'i' }))] })
    assert.equal(Object.keys(podRequests(limited)).length, MANY)
    assert.equal(Object.keys(podLimits(limited)).length, MANY)
    assert.deepEqual(enforceableLimits(limited), {})
  })

  it('of one port are warned about in few words', () => {
    const containers = many((index) => ({ name: `c${index}`, image: 'i', ports: [{ containerPort: 80 }] }))
    assert.equal(podWarnings(pod({ containers }).spec, 'spec').length, 100)
  })

  it('of volumes are looked at once, not by each container', () => {
    const volumes = many((index) => ({ name: `v${index}`, emptyDir: {} }))
    const volumeMounts = [{ name: 'no', mountPath: '/' }]
    const containers = many((index) => ({ name: `c${index}`, image: 'i', volumeMounts }))
    const flaws = validate(pod({ volumes, containers }))
    assert.equal(flaws.length, MANY)
    for (const { remedy } of flaws) assert.match(remedy ?? '', /^add it under volumes, or use v0, v1, .*, …$/)
  })

  it('of names are not listed for each item that is wrong', () => {
    const volumes = many((index) => ({ name: `v${index}`, emptyDir: {} }))
    const initContainers = many((index) => ({ name: `i${index}`, image: 'i' }))
    const resourceFieldRef = { containerName: 'no', resource: 'limits.cpu' }
    const env = many((index) => ({ name: `E${index}`, valueFrom: { resourceFieldRef } }))
    const volumeMounts = many((index) => ({ name: 'no', mountPath: `/${index}` }))
    const flaws = validate(pod({ volumes, initContainers, containers: [{ name: 'c', image: 'i', env, volumeMounts }] }))
    assert.equal(flaws.length, 2 * MANY)
    assert.equal(flaws[0]?.remedy?.startsWith('use i0, i1, '), true)
    for (const { remedy = '' } of flaws) assert(remedy.length < 200, remedy.slice(0, 300))
  })
})
