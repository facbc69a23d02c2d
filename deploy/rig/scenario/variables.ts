/**
 * Names in a scenario's texts: `$ids` stands for what a step remembered as `ids`, `$$` for a dollar. Braces are left
 * out because YAML's short maps and lists do not allow them in plain text.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'

/** Names that are always there. */
export const BUILT_IN = {
  leader: "the controller that leads now, by its machine's name",
  leaderAddress: 'the same, as HOST:PORT',
  followerAddresses: 'the other controllers, as HOST:PORT,HOST:PORT',
  round: 'which time a repeated step is run, from 1; 0 outside',
  rig: "the rig's name",
  registry: "HOST:PORT of the rig's registry",
} as const

export type BuiltIn = keyof typeof BUILT_IN

/** What a variable may be called. */
export const VARIABLE = /^[A-Za-z]\w*$/

const REFERENCE = /\$(\$|[A-Za-z]\w*)/g

/** The names that a text refers to. */
export function references(text: string): string[] {
  return [...text.matchAll(REFERENCE)].flatMap(([, name]) => (name === '$' ? [] : [name!]))
}

/** Says what is wrong with a reference; undefined if the name is known. */
export function unknownReference(name: string, known: Iterable<string>): string | undefined {
  const names = [...Object.keys(BUILT_IN), ...known]
  if (names.includes(name)) return undefined
  const meant = nearest(name, names)
  return `nothing before it is remembered as "${name}"${meant === undefined ? '' : `; did you mean $${meant}?`}`
}

/** The text with each reference replaced. */
export function replaceReferences(text: string, valueOf: (name: string) => string): string {
  return text.replaceAll(REFERENCE, (_, name: string) => (name === '$' ? '$' : valueOf(name)))
}

/** What was remembered: by "pod/web-1" for objects, else the text that was seen. */
export type Remembered = string | Readonly<Record<string, JsonValue>>

/** Values by name, in one run of a scenario. */
export class Variables {
  readonly #remembered = new Map<string, Remembered>()
  readonly #builtIn: (name: Exclude<BuiltIn, 'round'>) => Promise<string>

  constructor(builtIn: (name: Exclude<BuiltIn, 'round'>) => Promise<string>) {
    this.#builtIn = builtIn
  }

  remember(name: string, value: Remembered): void {
    this.#remembered.set(name, value)
  }

  /** FailedPrecondition if the step that remembers it has not run. */
  remembered(name: string): Remembered {
    const value = this.#remembered.get(name)
    if (value === undefined) throw new GantryError('FailedPrecondition', `nothing is remembered as "${name}" yet`)
    return value
  }

  /**
   * The text with every reference replaced; the values of one object stand for themselves, those of several are JSON.
   */
  async fill(text: string, round: number): Promise<string> {
    const names = [...new Set(references(text))]
    const values = new Map<string, string>()
    for (const name of names) values.set(name, await this.#textOf(name, round))
    return replaceReferences(text, (name) => values.get(name)!)
  }

  async #textOf(name: string, round: number): Promise<string> {
    if (name === 'round') return String(round)
    return isBuiltIn(name) ? this.#builtIn(name) : rememberedText(this.remembered(name))
  }

  /** In front of a shell's text: the variables that it mentions, as the shell's own. */
  async shellPrefix(text: string, round: number): Promise<string> {
    const mentioned = new Set([...text.matchAll(/\$\{?([A-Za-z]\w*)/g)].map(([, name]) => name!))
    const known = [...mentioned].filter((name) => this.#remembered.has(name) || Object.hasOwn(BUILT_IN, name))
    const lines: string[] = []
    for (const name of known) lines.push(`${name}='${(await this.#textOf(name, round)).replaceAll("'", "'\\''")}'\n`)
    return lines.join('')
  }
}

function isBuiltIn(name: string): name is Exclude<BuiltIn, 'round'> {
  return Object.hasOwn(BUILT_IN, name)
}

function rememberedText(value: Remembered): string {
  if (typeof value === 'string') return value
  const values = Object.values(value)
  const only = values.length === 1 ? lone(values[0]!) : undefined
  return only === undefined ? JSON.stringify(value) : typeof only === 'string' ? only : JSON.stringify(only)
}

/** [[x]] → x: one value of one path. */
function lone(value: JsonValue): JsonValue | undefined {
  if (!Array.isArray(value)) return value
  return value.length === 1 ? lone(value[0]!) : undefined
}
