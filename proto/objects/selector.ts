/**
 * Label and field selectors, as text and as objects.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
 */
import type { AnyResource, Kind, LabelSelector } from '../gen/types.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { GantryError } from '../base/errors.ts'
import { SPECIAL_MESSAGES } from '../schema/schema.ts'
import { fieldOf } from '../schema/shape.ts'

export interface LabelRequirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  /** Empty for Exists and DoesNotExist. */
  readonly values: readonly string[]
}

/** What labels must be like: every requirement holds. Without any requirement everything matches. */
export class LabelMatcher {
  readonly requirements: readonly LabelRequirement[]

  constructor(requirements: readonly LabelRequirement[]) {
    this.requirements = requirements
  }

  matches(labels: Readonly<Record<string, string>> | undefined): boolean {
    return this.requirements.every((requirement) => meets(requirement, labels ?? {}))
  }
}

/** NotIn holds for a key that is absent, as in Kubernetes. */
function meets(requirement: LabelRequirement, labels: Readonly<Record<string, string>>): boolean {
  const { key, operator, values } = requirement
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

const NOTHING = new (class extends LabelMatcher {
  override matches(): boolean {
    return false
  }
})([])

/**
 * A matcher of the object form. An empty selector matches everything, none at all matches nothing; InvalidArgument for
 * an operator without the values it needs.
 */
export function labelSelectorMatcher(selector: LabelSelector | undefined): LabelMatcher {
  if (selector === undefined) return NOTHING
  const equal = Object.entries(selector.matchLabels ?? {}).map(([key, value]): LabelRequirement => ({
    key,
    operator: 'In',
    values: [value],
  }))
  const expressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values = [] }, index): LabelRequirement => {
      const wantsValues = operator === 'In' || operator === 'NotIn'
      if (wantsValues !== values.length > 0) {
        const message = wantsValues ? `operator ${operator} needs values` : `operator ${operator} takes no values`
        throw new GantryError('InvalidArgument', `selector for label ${key}: ${message}`, {
          details: [{ field: `matchExpressions[${index}].values`, value: values.join(','), message }],
        })
      }
      return { key, operator, values }
    },
  )
  return new LabelMatcher([...equal, ...expressions])
}

/** The text form, which parseLabelSelector reads: "app=web,tier in (a,b),!old". '' for an empty selector. */
export function formatLabelSelector(selector: LabelSelector): string {
  return labelSelectorMatcher(selector)
    .requirements.map(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
          return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`
        case 'NotIn':
          return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(',')})`
        case 'Exists':
          return key
        case 'DoesNotExist':
          return `!${key}`
      }
    })
    .join(',')
}

const LABEL_KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/

/** Requirements in a text. A watch looks at all of them for each event, and a user may have many watches. */
const MOST_REQUIREMENTS = 200

/**
 * Reads "a=b,c!=d,e in (x,y),f notin (z),g,!h"; InvalidArgument says where the text is wrong. '' matches everything.
 */
export function parseLabelSelector(text: string): LabelMatcher {
  const scanner = new Scanner('label selector', text)
  const requirements: LabelRequirement[] = []
  while (!scanner.atEnd()) {
    if (requirements.length > 0) scanner.expect(',')
    scanner.another(requirements.length)
    requirements.push(labelRequirement(scanner))
  }
  return new LabelMatcher(requirements)
}

function labelRequirement(scanner: Scanner): LabelRequirement {
  const absent = scanner.take('!')
  const key = scanner.word(LABEL_KEY, 'a label key')
  if (absent) return { key, operator: 'DoesNotExist', values: [] }
  if (scanner.atEnd() || scanner.peek(',')) return { key, operator: 'Exists', values: [] }
  if (scanner.take('!=')) return { key, operator: 'NotIn', values: [scanner.word(LABEL_VALUE, 'a label value')] }
  if (scanner.take('==') || scanner.take('='))
    return { key, operator: 'In', values: [scanner.word(LABEL_VALUE, 'a label value')] }
  const operator = scanner.word(/^(in|notin)$/, '=, ==, !=, in or notin') === 'in' ? 'In' : 'NotIn'
  scanner.expect('(')
  const values = [scanner.word(LABEL_VALUE, 'a label value')]
  while (scanner.take(',')) values.push(scanner.word(LABEL_VALUE, 'a label value'))
  scanner.expect(')')
  return { key, operator, values }
}

export interface FieldRequirement {
  /** Dotted, e.g. "spec.nodeName". */
  readonly path: string
  readonly operator: '=' | '!='
  readonly value: string
}

/**
 * What fields must be like: every requirement holds. A field that is absent counts as its zero value: '', 0 or false.
 */
export class FieldMatcher {
  readonly requirements: readonly FieldRequirement[]

  constructor(requirements: readonly FieldRequirement[]) {
    this.requirements = requirements
  }

  matches(object: AnyResource): boolean {
    return this.requirements.every(
      ({ path, operator, value }) => (fieldText(object, path) === value) === (operator === '='),
    )
  }

  /**
   * The value that a path must have, if the selector says so: lets a reader use an index or a key instead of looking at
   * everything.
   */
  exact(path: string): string | undefined {
    return this.requirements.find((requirement) => requirement.path === path && requirement.operator === '=')?.value
  }
}

function fieldText(object: AnyResource, path: string): string {
  let value: unknown = object
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return zeroText(object.kind, path)
    value = (value as Record<string, unknown>)[name]
  }
  return value === undefined ? zeroText(object.kind, path) : String(value)
}

function zeroText(kind: Kind, path: string): string {
  if (customKinds.get(kind) !== undefined) return ''
  const field = fieldOf(kind, path.split('.'))
  if (field?.kind !== 'scalar' || field.type === 'string' || field.type === 'bytes') return ''
  return field.type === 'bool' ? 'false' : '0'
}

/**
 * Reads "metadata.name=web,spec.nodeName!=n1". Any single-valued field of the kind will do. InvalidArgument says where
 * the text is wrong, or, when a kind is given, which field the kind does not have.
 */
export function parseFieldSelector(text: string, kind?: Kind): FieldMatcher {
  const scanner = new Scanner('field selector', text)
  const requirements: FieldRequirement[] = []
  while (!scanner.atEnd()) {
    if (requirements.length > 0) scanner.expect(',')
    scanner.another(requirements.length)
    const start = scanner.position
    const path = scanner.word(/^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*$/, 'a field path')
    if (kind !== undefined) checkPath(scanner, start, kind, path)
    const operator = scanner.take('!=')
      ? '!='
      : scanner.take('==') || scanner.take('=')
        ? '='
        : scanner.fail('=, == or !=')
    requirements.push({ path, operator, value: scanner.fieldValue() })
  }
  return new FieldMatcher(requirements)
}

function checkPath(scanner: Scanner, start: number, kind: Kind, path: string): void {
  if (path === 'kind' || path === 'apiVersion') return
  const custom = customKinds.get(kind)
  if (custom !== undefined) {
    if (
      path === 'metadata.name' ||
      path === 'metadata.namespace' ||
      custom.versions.some(({ selectable }) => selectable.includes(path))
    )
      return
    return scanner.failAt(start, `${path} is not a field that ${custom.resource.kind} can be selected by`)
  }
  const field = fieldOf(kind, path.split('.'))
  if (field === undefined) scanner.failAt(start, `${kind} has no field ${path}`)
  if (field.label !== 'optional' || (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type)))
    scanner.failAt(start, `${path} of ${kind} is not a single value`)
}

/** Walks a selector's text; every complaint carries the place. */
class Scanner {
  readonly #what: string
  readonly #text: string
  #at = 0

  constructor(what: string, text: string) {
    this.#what = what
    this.#text = text
  }

  /** After white space. */
  get position(): number {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++
    return this.#at
  }

  atEnd(): boolean {
    return this.position === this.#text.length
  }

  peek(token: string): boolean {
    return this.#text.startsWith(token, this.position)
  }

  take(token: string): boolean {
    if (!this.peek(token)) return false
    this.#at += token.length
    return true
  }

  /** A further requirement, after so many. The text is not told again: it is long. */
  another(before: number): void {
    if (before < MOST_REQUIREMENTS) return
    const message = `has more than ${MOST_REQUIREMENTS} requirements`
    throw new GantryError('InvalidArgument', `the ${this.#what} ${message}`, {
      details: [{ message, remedy: 'select fewer at a time' }],
    })
  }

  expect(token: string): void {
    if (!this.take(token)) this.fail(`"${token}"`)
  }

  /** Characters up to white space or punctuation, of the given form. */
  word(form: RegExp, what: string): string {
    const start = this.position
    const word = /^[^\s,()=!]*/.exec(this.#text.slice(start))![0]
    if (!form.test(word)) this.fail(what)
    this.#at = start + word.length
    return word
  }

  /** Up to the next comma; a backslash takes the character after it as it is. */
  fieldValue(): string {
    let value = ''
    for (this.position; this.#at < this.#text.length && this.#text[this.#at] !== ','; this.#at++) {
      const character = this.#text[this.#at]!
      if (character === '=') this.fail('"," or the end (write \\= for an equals sign in a value)')
      if (character === '\\') this.#at++
      value += this.#text[this.#at] ?? this.fail('a character after the backslash')
    }
    return value.trimEnd()
  }

  fail(expected: string): never {
    const found = this.atEnd() ? 'the end' : `"${this.#text.slice(this.#at, this.#at + 20)}"`
    return this.failAt(this.#at, `expected ${expected}, found ${found}`)
  }

  failAt(offset: number, message: string): never {
    throw new GantryError('InvalidArgument', `${this.#what} "${this.#text}", character ${offset + 1}: ${message}`, {
      details: [{ value: this.#text, message }],
    })
  }
}
