/**
 * A set of field paths as a tree, and its JSON form FieldsV1, in which managedFields keeps what each writer owns.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 *
 * A step of a path is `f:NAME` (a field or a map's key), `k:{"KEY":VALUE…}` (an item of a keyed list) or `v:VALUE` (a
 * value of a set).
 */
import type { JsonObject } from '../gen/types.ts'
import { isObject } from '../base/json.ts'

type Children = ReadonlyMap<string, FieldSet>

/** What was read or written already: of an object that changes often most owners stay as they are. */
const sets = new WeakMap<JsonObject, FieldSet>()

export class FieldSet {
  /** The path that leads here is itself in the set. */
  readonly member: boolean
  readonly children: Children
  #fields: JsonObject | undefined

  private constructor(member: boolean, children: Children) {
    this.member = member
    this.children = children
  }

  static readonly EMPTY = new FieldSet(false, new Map())
  /** Only the path that leads here. */
  static readonly LEAF = new FieldSet(true, new Map())

  /** Children that are empty are left out. */
  static of(member: boolean, children: Iterable<readonly [string, FieldSet]>): FieldSet {
    const kept = new Map<string, FieldSet>()
    for (const [step, child] of children) if (!child.isEmpty) kept.set(step, child)
    if (kept.size === 0) return member ? FieldSet.LEAF : FieldSet.EMPTY
    return new FieldSet(member, kept)
  }

  /** From FieldsV1, which may not be changed from then on. */
  static fromFields(fields: JsonObject): FieldSet {
    let set = sets.get(fields)
    if (set === undefined || set.member) sets.set(fields, (set = FieldSet.of(false, childrenOf(fields))))
    return set
  }

  get isEmpty(): boolean {
    return !this.member && this.children.size === 0
  }

  child(step: string): FieldSet {
    return this.children.get(step) ?? FieldSet.EMPTY
  }

  /** As FieldsV1, keys sorted, so that equal sets have equal texts. All who ask share it. */
  toFields(): JsonObject {
    if (this.#fields === undefined) sets.set((this.#fields = this.#toJson()), this)
    return this.#fields
  }

  #toJson(): JsonObject {
    const fields: JsonObject = {}
    if (this.member && this.children.size > 0) fields['.'] = {}
    for (const step of [...this.children.keys()].sort()) fields[step] = this.children.get(step)!.#toJson()
    return fields
  }

  union(other: FieldSet): FieldSet {
    if (other.isEmpty || other === this) return this
    if (this.isEmpty) return other
    const children = new Map(this.children)
    for (const [step, child] of other.children) children.set(step, this.child(step).union(child))
    return FieldSet.of(this.member || other.member, children)
  }

  /** Paths of this set that are also in the other. */
  intersection(other: FieldSet): FieldSet {
    if (this.isEmpty || other.isEmpty) return FieldSet.EMPTY
    return this.#with(this.member && other.member, (step, child) => child.intersection(other.child(step)))
  }

  /** Paths of this set that are not in the other. */
  difference(other: FieldSet): FieldSet {
    if (this.isEmpty || other.isEmpty) return this
    return this.#with(this.member && !other.member, (step, child) => child.difference(other.child(step)))
  }

  /** Without the paths in `roots` and all that lie below them. */
  without(roots: FieldSet): FieldSet {
    if (this.isEmpty || roots.isEmpty) return this
    if (roots.member) return FieldSet.EMPTY
    return this.#with(this.member, (step, child) => child.without(roots.child(step)))
  }

  /** The same one where nothing changes. */
  #with(member: boolean, call: (step: string, child: FieldSet) => FieldSet): FieldSet {
    const children = map(this.children, call)
    const isSame = member === this.member && children.every(([step, child]) => child === this.children.get(step))
    return isSame ? this : FieldSet.of(member, children)
  }

  /** With every path that leads to one of the set. */
  withAncestors(): FieldSet {
    return this.isEmpty
      ? this
      : FieldSet.of(
          true,
          map(this.children, (_step, child) => child.withAncestors()),
        )
  }

  /** Every path in the set, as its steps. */
  *paths(before: readonly string[] = []): Generator<readonly string[]> {
    if (this.member) yield before
    for (const [step, child] of this.children) yield* child.paths([...before, step])
  }
}

/** The first step in FieldsV1 that is none; undefined if all are. */
export function malformedStep(fields: JsonObject): string | undefined {
  for (const [step, value] of Object.entries(fields)) {
    if (!isObject(value) || !(step === '.' || step.startsWith('f:') || isJsonStep(step))) return step
    const below = malformedStep(value)
    if (below !== undefined) return below
  }
  return undefined
}

/** `k:{"name":"web"}`, `v:"x"`, and `i:0`, which Kubernetes knows and never writes. */
function isJsonStep(step: string): boolean {
  if (!/^[kvi]:/.test(step)) return false
  try {
    const value = JSON.parse(step.slice(2)) as unknown
    return step.startsWith('k:') ? isObject(value) : true
  } catch {
    return false
  }
}

function* childrenOf(fields: JsonObject): Generator<readonly [string, FieldSet]> {
  for (const [step, value] of Object.entries(fields)) {
    if (step === '.' || !isObject(value)) continue
    yield [step, FieldSet.of(Object.keys(value).length === 0 || '.' in value, childrenOf(value))]
  }
}

function map(children: Children, call: (step: string, child: FieldSet) => FieldSet): (readonly [string, FieldSet])[] {
  return Array.from(children, ([step, child]) => [step, call(step, child)])
}

/**
 * A path as people write it: `spec.template.spec.containers[name=web].image`,
 * `metadata.labels[app.kubernetes.io/name]`, `metadata.finalizers[x]`.
 */
export function formatSteps(steps: readonly string[]): string {
  return steps.reduce((text, step) => {
    const rest = step.slice(2)
    if (step.startsWith('f:'))
      return /^\w+$/.test(rest) ? `${text}${text === '' ? '' : '.'}${rest}` : `${text}[${rest}]`
    const value = JSON.parse(rest) as unknown
    return `${text}[${
      isObject(value)
        ? Object.entries(value)
            .map(([key, part]) => `${key}=${String(part)}`)
            .join(',')
        : String(value)
    }]`
  }, '')
}
