import assert from 'node:assert/strict'
import { collectManifests } from '../../../proto/client/manifests/manifests.ts'
import { kindDefinedBy } from '../../../proto/client/custom-kinds.ts'
import { kindOf, parseNames } from '../../../proto/client/operands.ts'
import { KindRegistry, SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { encodeJson } from '../../../proto/codec/codec.ts'

/** A definition whose objects have one field, and an object of it. */
const texts = (field: string) => [
  {
    name: 'crontab.yaml',
    text: JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          metadata: { name: 'crontabs.stable.example.com' },
          spec: {
            group: 'stable.example.com',
            names: { kind: 'CronTab', plural: 'crontabs', singular: 'crontab', shortNames: ['ct'] },
            scope: 'Namespaced',
            versions: [
              {
                name: 'v1',
                served: true,
                storage: true,
                schema: { openAPIV3Schema: { type: 'object', properties: { [field]: { type: 'string' } } } },
              },
            ],
          },
        },
        { apiVersion: 'stable.example.com/v1', kind: 'CronTab', metadata: { name: 'nightly' }, [field]: 'x' },
      ],
    }),
  },
]
const namespace = { given: undefined, fallback: 'default' }

describe('custom kinds that a client knows', () => {
  let mine: KindRegistry
  let theirs: KindRegistry
  beforeEach(() => {
    mine = new KindRegistry()
    theirs = new KindRegistry()
  })
  afterEach(() => {
    for (const kinds of [mine, theirs]) kinds.close()
  })

  it("are nobody else's in the process", async () => {
    await collectManifests(texts('schedule'), { namespace, kinds: mine })
    assert.equal(kindOf('ct', mine), kindDefinedBy('crontabs.stable.example.com', mine))
    assert.equal(parseNames(['crontab/nightly'], mine.kinds(), mine)[0]?.name, 'nightly')
    for (const others of [theirs, SCHEMA_KINDS]) {
      assert.throws(() => kindOf('ct', others), { message: /no kind is called "ct"/ })
      assert.equal(kindDefinedBy('crontabs.stable.example.com', others), undefined)
    }
  })

  it('may be defined otherwise in another cluster, and each is read as its own cluster has it', async () => {
    const [, one] = await collectManifests(texts('schedule'), { namespace, kinds: mine })
    const [, other] = await collectManifests(texts('every'), { namespace, kinds: theirs })
    assert.notEqual(one!.kind, other!.kind)
    assert.equal(encodeJson(one!.document.object)['schedule'], 'x')
    assert.equal(encodeJson(other!.document.object)['every'], 'x')
    theirs.close()
    assert.equal(encodeJson(one!.document.object)['schedule'], 'x')
    assert.equal(kindOf('crontab', mine), one!.kind)
  })
})
