import assert from 'node:assert/strict'
import { Candidates } from '../../../controller/admission/candidates.ts'
import type { DerivedValue } from '../../../controller/admission/derived-value.ts'
import { Matcher } from '../../../controller/admission/matcher.ts'
import type { AdmissionRequestInfo } from '../../../controller/api/contract.ts'
import { KindRegistry } from '../../../proto/schema/kind-registry.ts'
import type { CustomResourceDefinition, Kind } from '../../../proto/gen/types.ts'

function matcherOf(...resources: string[]): Matcher {
  const rules = [
    { operations: ['CREATE' as const], apiGroups: ['*'], apiVersions: ['*'], resources, scope: '*' as const },
  ]
  return new Matcher({ rules, matchPolicy: 'Equivalent', namespaceSelector: undefined, objectSelector: undefined })
}

function creation(kind: Kind): AdmissionRequestInfo {
  const context = { fieldManager: 'test', user: { name: 'alice', groups: [] } }
  return { operation: 'CREATE', kind, subresource: '', context } as unknown as AdmissionRequestInfo
}

function definition(plural: string): CustomResourceDefinition {
  return {
    metadata: { name: `${plural}.example.com`, uid: plural },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { kind: 'Widget', plural },
      versions: [{ name: 'v1', served: true, storage: true }],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  } as unknown as CustomResourceDefinition
}

describe('candidates of admission', () => {
  let inForce: readonly Matcher[]
  let candidates: Candidates<Matcher>

  beforeEach(() => {
    inForce = [matcherOf('pods'), matcherOf('gadgets')]
    candidates = new Candidates({ get: () => inForce } as DerivedValue<readonly Matcher[]>, (one) => one)
  })

  it('are those of which a rule may mean the request, found anew when others are in force', () => {
    assert.deepEqual(candidates.of(creation('Pod')), [inForce[0]])
    assert.deepEqual(candidates.of(creation('Service')), [])
    inForce = [matcherOf('services')]
    assert.deepEqual(candidates.of(creation('Pod')), [])
    assert.deepEqual(candidates.of(creation('Service')), inForce)
  })

  it('are those of the resource that a custom kind is called now', () => {
    const kinds = new KindRegistry()
    try {
      const widgets = kinds.kindOf(definition('widgets'))!
      kinds.set(widgets)
      assert.deepEqual(candidates.of(creation(widgets.id)), [])
      kinds.delete(widgets.id)
      const gadgets = kinds.kindOf(definition('gadgets'))!
      kinds.set(gadgets)
      assert.equal(gadgets.id, widgets.id)
      assert.deepEqual(candidates.of(creation(gadgets.id)), [inForce[1]])
    } finally {
      kinds.close()
    }
  })
})
