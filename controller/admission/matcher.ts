/**
 * Which requests a configuration is about: its rules and selectors.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules
 */
import { GantryError } from '../../proto/base/errors.ts'
import { labelSelectorMatcher, type LabelMatcher } from '../../proto/objects/selector.ts'
import type { LabelSelector, Namespace, NamedRuleWithOperations, RuleWithOperations } from '../../proto/gen/types.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { Informer } from '../informer/contract.ts'
import type { MatchAttributes, VersionedAttributes } from './versioned-attributes.ts'

export interface MatchCriteria {
  readonly rules: readonly (RuleWithOperations | NamedRuleWithOperations)[]
  readonly exclude?: readonly NamedRuleWithOperations[]
  readonly matchPolicy: 'Exact' | 'Equivalent'
  readonly namespaceSelector: LabelSelector | undefined
  readonly objectSelector: LabelSelector | undefined
}

export class Matcher {
  readonly #source: MatchCriteria
  readonly #namespaces: LabelMatcher
  readonly #objects: LabelMatcher

  constructor(source: MatchCriteria) {
    this.#source = source
    this.#namespaces = labelSelectorMatcher(source.namespaceSelector ?? {})
    this.#objects = labelSelectorMatcher(source.objectSelector ?? {})
  }

  /** False if none of the rules means such a request, whatever it is about otherwise. */
  mayMean(operation: string, group: string, plural: string, subresource: string): boolean {
    return this.#source.rules.some(
      ({ operations = [], apiGroups = [], resources = [] }) =>
        includes(operations, operation) &&
        includes(apiGroups, group) &&
        resources.some((text) => resourceMatches(text, plural, subresource)),
    )
  }

  /**
   * The version in which the resource is meant by one of the rules; undefined if none means it. Without any rule
   * everything is meant if `unruled`.
   */
  version(requested: MatchAttributes, unruled = false): string | undefined {
    const { rules, exclude = [], matchPolicy } = this.#source
    const equivalent = matchPolicy === 'Equivalent'
    if (exclude.length > 0 && versionOf(exclude, requested, equivalent) !== undefined) return undefined
    return rules.length === 0 && unruled ? requested.version : versionOf(rules, requested, equivalent)
  }

  /** By labels of the object: before the write or after. */
  selectsObject(subject: VersionedAttributes): boolean {
    return this.#objects.requirements.length === 0 || subject.labels().some((labels) => this.#objects.matches(labels))
  }

  /** By labels of the object's namespace. NotFound if that is gone. */
  async selectsNamespace(subject: VersionedAttributes, namespaces: NamespaceLookup): Promise<boolean> {
    if (this.#namespaces.requirements.length === 0) return true
    const { kind, namespace, subresource, object, operation } = subject.attributes
    if (kind === 'Namespace' && subresource === '' && operation !== 'DELETE')
      return this.#namespaces.matches(object?.metadata.labels)
    if (namespace === '' && kind !== 'Namespace') return true
    const found = await namespaces.get(subject.namespace)
    if (found === undefined)
      throw new GantryError('NotFound', `namespace ${subject.namespace} not found`, {
        details: [{ field: 'metadata.namespace', value: subject.namespace, message: 'there is no such namespace' }],
      })
    return this.#namespaces.matches(found.metadata.labels)
  }
}

/** Namespaces as the cache shows them; one that it does not is looked for in the store. */
export class NamespaceLookup {
  readonly #informer: Informer
  readonly #reads: Pick<ConsistentReads, 'find'>

  constructor(informer: Informer, reads: Pick<ConsistentReads, 'find'>) {
    this.#informer = informer
    this.#reads = reads
  }

  async get(name: string): Promise<Namespace | undefined> {
    return this.#informer.lister('Namespace').get('', name) ?? (await this.#reads.find('Namespace', '', name))?.object
  }
}

/** The version of the request first: what is sent in another has to be made for it. */
function versionOf(rules: MatchCriteria['rules'], requested: MatchAttributes, equivalent: boolean): string | undefined {
  const versions = equivalent
    ? [requested.version, ...requested.versions.filter((version) => version !== requested.version)]
    : [requested.version]
  return versions.find((version) => rules.some((rule) => ruleMatches(rule, requested, version)))
}

function ruleMatches(
  rule: RuleWithOperations | NamedRuleWithOperations,
  { operation, resource, subresource, name }: MatchAttributes,
  version: string,
): boolean {
  const {
    operations = [],
    apiGroups = [],
    apiVersions = [],
    resources = [],
    scope,
    resourceNames = [],
  } = rule as NamedRuleWithOperations
  return (
    includes(operations, operation) &&
    includes(apiGroups, resource.group) &&
    includes(apiVersions, version) &&
    (scope === '*' || (scope === 'Namespaced') === resource.namespaced) &&
    (resourceNames.length === 0 || resourceNames.includes(name)) &&
    resources.some((text) => resourceMatches(text, resource.plural, subresource))
  )
}

/** "pods" means pods, "pods/*" them and their subresources, "*" everything that is no subresource. */
function resourceMatches(text: string, plural: string, subresource: string): boolean {
  const [wanted, part = ''] = text.split('/', 2)
  return (wanted === '*' || wanted === plural) && (part === '*' || part === subresource)
}

function includes(values: readonly string[], value: string): boolean {
  return values.includes('*') || values.includes(value)
}
