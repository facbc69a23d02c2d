import assert from 'node:assert/strict'
import { Matcher } from '../../../controller/admission/matcher.ts'
import { isSubjectToAdmission, type MatchAttributes } from '../../../controller/admission/versioned-attributes.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import type { Kind, NamedRuleWithOperations } from '../../../proto/gen/types.ts'

const rule = (over: Partial<NamedRuleWithOperations> = {}): NamedRuleWithOperations => ({
  operations: ['*'],
  apiGroups: ['*'],
  apiVersions: ['*'],
  resources: ['*'],
  scope: '*',
  ...over,
})
const requested = (kind: Kind, over: Partial<MatchAttributes> = {}): MatchAttributes => ({
  operation: 'CREATE',
  resource: resourceOf(kind),
  version: 'v1',
  versions: ['v1'],
  subresource: '',
  name: 'x',
  ...over,
})
const match = (rules: readonly NamedRuleWithOperations[], over: object = {}): Matcher =>
  new Matcher({ rules, matchPolicy: 'Equivalent', namespaceSelector: undefined, objectSelector: undefined, ...over })

describe('rules of admission', () => {
  const table: [string, Partial<NamedRuleWithOperations>, MatchAttributes, boolean][] = [
    ['everything', {}, requested('Pod'), true],
    ['another operation', { operations: ['UPDATE', 'DELETE'] }, requested('Pod'), false],
    ['the operation', { operations: ['UPDATE', 'CREATE'] }, requested('Pod'), true],
    ['the core group', { apiGroups: [''] }, requested('Pod'), true],
    ['another group', { apiGroups: [''] }, requested('Deployment'), false],
    ['another version', { apiVersions: ['v1beta1'] }, requested('Pod'), false],
    ['the resource', { resources: ['pods'] }, requested('Pod'), true],
    ['another resource', { resources: ['services'] }, requested('Pod'), false],
    [
      'the resource without its subresources',
      { resources: ['pods'] },
      requested('Pod', { subresource: 'status' }),
      false,
    ],
    ['a subresource', { resources: ['pods/status'] }, requested('Pod', { subresource: 'status' }), true],
    ['another subresource', { resources: ['pods/status'] }, requested('Pod', { subresource: 'exec' }), false],
    ['every subresource of a resource', { resources: ['pods/*'] }, requested('Pod', { subresource: 'exec' }), true],
    [
      'a subresource of every resource',
      { resources: ['*/scale'] },
      requested('Deployment', { subresource: 'scale' }),
      true,
    ],
    ['a subresource of every resource, not these', { resources: ['*/scale'] }, requested('Deployment'), false],
    ['every resource, no subresource', { resources: ['*'] }, requested('Pod', { subresource: 'status' }), false],
    ['every resource and subresource', { resources: ['*/*'] }, requested('Pod', { subresource: 'status' }), true],
    ['every resource, by both', { resources: ['*/*'] }, requested('Pod'), true],
    ['what is in a namespace', { scope: 'Namespaced' }, requested('Pod'), true],
    ['what is in a namespace, not nodes', { scope: 'Namespaced' }, requested('Node'), false],
    ['what is in none: namespaces', { scope: 'Cluster' }, requested('Namespace'), true],
    ['a name', { resourceNames: ['x'] }, requested('Pod'), true],
    ['another name', { resourceNames: ['y'] }, requested('Pod'), false],
  ]
  for (const [what, over, request, meant] of table) {
    it(`${meant ? 'mean' : 'do not mean'}: ${what}`, () =>
      assert.equal(match([rule(over)]).version(request) !== undefined, meant))
  }

  it('may mean what they mean, and nothing of another operation, group, resource or subresource', () => {
    for (const [what, over, { operation, resource, subresource }, meant] of table) {
      const may = match([rule(over)]).mayMean(operation, resource.group, resource.plural, subresource)
      const isElsewhere = 'apiVersions' in over || 'scope' in over || 'resourceNames' in over
      assert.equal(may, meant || isElsewhere, what)
    }
  })

  it('mean nothing if there are none, unless there need be none', () => {
    assert.equal(match([]).version(requested('Pod')), undefined)
    assert.equal(match([]).version(requested('Pod'), true), 'v1')
  })

  it('mean a resource in another version of it, and that is told', () => {
    const old = requested('Pod', { version: 'v2', versions: ['v1', 'v2'] })
    assert.equal(match([rule({ apiVersions: ['v1'] })]).version(old), 'v1')
    assert.equal(match([rule({ apiVersions: ['v1'] })], { matchPolicy: 'Exact' }).version(old), undefined)
    assert.equal(match([rule()]).version(old), 'v2')
  })

  it('leave out what an excluding one means', () => {
    assert.equal(match([rule()], { exclude: [rule({ resources: ['pods'] })] }).version(requested('Pod')), undefined)
    assert.equal(match([rule()], { exclude: [rule({ resources: ['pods'] })] }).version(requested('Service')), 'v1')
  })

  const user = { name: 'anna', groups: [] }
  const occasions: [string, Kind, string, object, boolean][] = [
    ['what users write', 'Pod', '', { user }, true],
    ['the status that users write', 'Pod', 'status', { user }, true],
    ['what reconcilers write', 'Pod', '', { controllerAccount: 'replicaset-controller' }, true],
    ['the status that reconcilers write', 'Pod', 'status', { controllerAccount: 'replicaset-controller' }, false],
    ['what others of the control plane write', 'Pod', '', {}, false],
    ['what says how requests are admitted', 'ValidatingAdmissionPolicy', '', { user }, false],
  ]
  for (const [what, kind, subresource, context, asked] of occasions) {
    it(`${asked ? 'are' : 'are not'} held against ${what}`, () =>
      assert.equal(
        isSubjectToAdmission({
          operation: 'UPDATE',
          kind,
          namespace: 'default',
          subresource,
          context: { fieldManager: 'x', ...context },
        }),
        asked,
      ))
  }
})
