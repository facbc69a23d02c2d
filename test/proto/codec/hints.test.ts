/** What to do next, where something is refused: a hint that is empty, or would lead nowhere, is worse than none. */
import assert from 'node:assert/strict'
import { acceptedText } from '../../../cli/commands/explain.ts'
import { inspectJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { unsupportedRemedy } from '../../../proto/schema/field-rules.ts'
import { messageSchema, schema } from '../../../proto/schema/schema.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type { JsonObject, JsonValue } from '../../../proto/gen/types.ts'

const pod = (spec: JsonObject): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
})

/** Field and remedy of everything that is wrong with a pod. */
function hints(spec: JsonObject): string[] {
  const { object, problems } = inspectJson('Pod', pod(spec))
  const found = object === undefined || problems.length > 0 ? problems : validate(applyDefaults(object))
  return found.map(({ field, remedy }) => `${field}: ${remedy}`)
}

describe('hints', () => {
  it('name other sources for a volume whose only one is not acted on, instead of telling to leave it out', () => {
    const volume = (source: JsonObject): JsonValue => [{ name: 'v', ...source }]
    assert.deepEqual(hints({ volumes: volume({ persistentVolumeClaim: { claimName: 'c' } }) }), [
      'spec.volumes[0].persistentVolumeClaim: use hostPath, emptyDir, secret, downwardAPI, configMap or projected instead',
    ])
    const [hook] = hints({
      containers: [{ name: 'c', image: 'i', lifecycle: { preStop: { tcpSocket: { port: 1 } } } }],
    })
    assert.match(hook!, /tcpSocket: use exec, httpGet or sleep instead/)
  })

  it('name no volume that nobody wrote', () => {
    const mount = { containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'date', mountPath: '/d' }] }] }
    const token = { name: 'kube-api-access-x1y2z', emptyDir: {} }
    assert.deepEqual(hints({ ...mount, volumes: [token] }), [
      'spec.containers[0].volumeMounts[0].name: add it under volumes',
    ])
    assert.deepEqual(hints({ ...mount, volumes: [{ name: 'data', emptyDir: {} }, token] }), [
      'spec.containers[0].volumeMounts[0].name: add it under volumes, or use data',
    ])
  })

  it('tell of what is accepted only where there is something to write', () => {
    assert.deepEqual([acceptedText([]), acceptedText(['']), acceptedText(['{}'])], ['', '', ''])
    assert.equal(acceptedText(['', 'Always']), ' (accepted: Always)')
  })

  it('are whole sentences for every field that is not acted on', () => {
    for (const name of Object.keys(schema.messages)) {
      for (const field of messageSchema(name).fields) {
        if (field.options.unsupported === undefined) continue
        assert.match(
          unsupportedRemedy(field),
          /^(leave it out(, or write [^ ].*)?|use [^ ].* instead)$/,
          `${name}.${field.name}`,
        )
        assert.doesNotMatch(acceptedText(field.options.inert ?? []), /: \)|, \)|: ,/, `${name}.${field.name}`)
      }
    }
  })
})
