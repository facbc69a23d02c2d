/**
 * Values of a scenario's file with their places: a reader asks a YamlNode for what must stand there, and whatever else
 * stands there becomes a problem at its place. All of a file is read, however many problems there are.
 */
import { parseDuration } from '../../../proto/base/duration.ts'
import { LocatedFailure } from '../../../proto/client/failures.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import { entryPath, fieldPath } from '../../../proto/base/path.ts'
import { describeProblem, problem, showValue } from '../../../proto/base/problem.ts'
import type { Position, YamlDocument } from '../../../proto/codec/yaml.ts'
import type { ErrorDetail, JsonValue } from '../../../proto/gen/types.ts'

interface Placed {
  readonly file: string
  readonly position: Position
  readonly problem: ErrorDetail
}

/** Problems of a scenario and of the files that it names. */
export class Problems {
  readonly #all: Placed[] = []

  get none(): boolean {
    return this.#all.length === 0
  }

  add(file: string, position: Position, path: string, message: string, remedy = '', value = ''): void {
    this.#all.push({ file, position, problem: problem(path, message, { remedy, value }) })
  }

  /**
   * Throws them all, `FILE:LINE:COLUMN: path: message (remedy)` a line and a detail each; does nothing if there are
   * none.
   */
  throwIfAny(): void {
    if (this.none) return
    const sorted = [...this.#all].sort((a, b) =>
      a.file === b.file ? a.position.line - b.position.line || a.position.column - b.position.column : 0,
    )
    const lines = sorted.map(
      ({ file, position, problem: one }) => `${file}:${position.line}:${position.column}: ${describeProblem(one)}`,
    )
    throw new LocatedFailure('InvalidArgument', lines.join('\n'), {
      details: sorted.map(({ problem: { field, value, message, remedy } }) => ({ field, value, message, remedy })),
    })
  }
}

/** The document that slots belong to. */
export interface SourceText {
  readonly name: string
  readonly yaml: YamlDocument
  readonly problems: Problems
}

/** A name as the file has it, "steps[2].until". */
function pathOf(parent: string, key: string): string {
  return /^[A-Za-z_][\w-]*$/.test(key) ? fieldPath(parent, key) : entryPath(parent, key)
}

export class YamlNode {
  readonly source: SourceText
  readonly path: string
  readonly value: JsonValue

  constructor(source: SourceText, path: string, value: JsonValue) {
    this.source = source
    this.path = path
    this.value = value
  }

  get position(): Position {
    return this.source.yaml.at(this.path)
  }

  /** `key`: the name itself is wrong, not what stands under it. */
  refuse(
    message: string,
    { remedy = '', value = '', key = false }: { remedy?: string; value?: string; key?: boolean } = {},
  ): undefined {
    this.source.problems.add(this.source.name, this.source.yaml.at(this.path, key), this.path, message, remedy, value)
  }

  #wrong(expected: string): undefined {
    return this.refuse(
      `${this.value === null ? 'is empty; it must be' : `${showValue(this.value)} is not`} ${expected}`,
    )
  }

  get isMap(): boolean {
    return typeof this.value === 'object' && this.value !== null && !Array.isArray(this.value)
  }

  get isList(): boolean {
    return Array.isArray(this.value)
  }

  /** Text that is not empty; a number or a truth value stands for how it was written. */
  text(): string | undefined {
    if (typeof this.value === 'number' || typeof this.value === 'boolean')
      return this.source.yaml.written(this.path) ?? String(this.value)
    return typeof this.value === 'string' && this.value !== '' ? this.value : this.#wrong('text')
  }

  integer(least: number, most = Infinity): number | undefined {
    const good =
      typeof this.value === 'number' && Number.isSafeInteger(this.value) && this.value >= least && this.value <= most
    return good
      ? (this.value as number)
      : this.#wrong(`a whole number ${most === Infinity ? `from ${least} on` : `from ${least} to ${most}`}`)
  }

  boolean(): boolean | undefined {
    return typeof this.value === 'boolean' ? this.value : this.#wrong('true or false')
  }

  choice<const T extends string>(choices: readonly T[]): T | undefined {
    if ((choices as readonly JsonValue[]).includes(this.value)) return this.value as T
    const meant = typeof this.value === 'string' ? nearest(this.value, choices) : undefined
    return this.refuse(`${showValue(this.value)} is not among the choices`, {
      remedy: meant === undefined ? `it is one of ${choices.join(', ')}` : `did you mean ${meant}?`,
    })
  }

  /** Milliseconds, more than 0; written with a unit ("30s"). */
  duration(): number | undefined {
    if (typeof this.value === 'number')
      return this.refuse(`${showValue(this.value)} has no unit`, { remedy: `write ${this.value}s or ${this.value}ms` })
    if (typeof this.value !== 'string') return this.#wrong('a length of time, such as 30s')
    try {
      const millis = parseDuration(this.value)
      return millis > 0 ? millis : this.refuse(`${showValue(this.value)} is not more than nothing`)
    } catch (thrown) {
      return this.refuse(GantryError.from(thrown).message)
    }
  }

  /** What a reader that throws makes of the text, its error a problem here. */
  read<T>(reader: (text: string) => T): T | undefined {
    const text = this.text()
    if (text === undefined) return undefined
    try {
      return reader(text)
    } catch (thrown) {
      const { message, details, code } = GantryError.from(thrown)
      if (code === 'Internal') throw thrown
      return this.refuse(message, { remedy: details.map(({ remedy }) => remedy).find((remedy) => remedy !== '') ?? '' })
    }
  }

  items(): YamlNode[] {
    if (!Array.isArray(this.value)) {
      this.#wrong('a list')
      return []
    }
    return this.value.map((item, index) => new YamlNode(this.source, entryPath(this.path, index), item))
  }

  /** A lone value counts as a list of one. */
  itemsOrSelf(): YamlNode[] {
    return this.isList ? this.items() : [this]
  }

  /** By name, whatever the names are. */
  entries(): [string, YamlNode][] {
    if (!this.isMap) {
      this.#wrong('a map')
      return []
    }
    return Object.entries(this.value as Record<string, JsonValue>).map(([name, value]) => [
      name,
      new YamlNode(this.source, pathOf(this.path, name), value),
    ])
  }

  /**
   * By name, each of them one of `known`; undefined if this is no map. `hints`: what to say of names that are likely to
   * be tried.
   */
  fields<const K extends string>(
    known: readonly K[],
    what: string,
    hints: Readonly<Record<string, string>> = {},
  ): Fields<K> | undefined {
    if (!this.isMap) return this.#wrong('a map')
    const slots = new Map(this.entries())
    for (const [name, slot] of slots) {
      if ((known as readonly string[]).includes(name)) continue
      const meant = nearest(name, known)
      const remedy = Object.hasOwn(hints, name)
        ? hints[name]!
        : meant === undefined
          ? `${what} has ${known.join(', ')}`
          : `did you mean ${meant}?`
      slot.refuse(`${what} has no "${name}"`, { key: true, remedy })
    }
    return new Fields(this, slots)
  }
}

/** A map's slots by name. */
export class Fields<K extends string = string> {
  readonly slot: YamlNode
  readonly #slots: ReadonlyMap<string, YamlNode>

  constructor(slot: YamlNode, slots: ReadonlyMap<string, YamlNode>) {
    this.slot = slot
    this.#slots = slots
  }

  has(name: K): boolean {
    return this.#slots.has(name)
  }

  get(name: K): YamlNode | undefined {
    return this.#slots.get(name)
  }

  /** A problem if it is not there. */
  need(name: K, what: string): YamlNode | undefined {
    const slot = this.#slots.get(name)
    if (slot === undefined) this.slot.refuse(`needs "${name}": ${what}`, { key: true })
    return slot
  }

  names(): string[] {
    return [...this.#slots.keys()]
  }
}
