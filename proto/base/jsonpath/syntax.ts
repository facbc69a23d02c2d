/** The grammar of one jsonpath expression: what stands between the braces. */
import { GantryError } from '../errors.ts'
import type { JsonValue } from '../../gen/types.ts'

export type Step =
  | { readonly is: 'field'; readonly name: string }
  | { readonly is: 'all' }
  /** From the end if negative. */
  | { readonly is: 'index'; readonly at: number }
  | { readonly is: 'slice'; readonly from: number | undefined; readonly to: number | undefined; readonly by: number }
  | { readonly is: 'union'; readonly steps: readonly Step[] }
  | { readonly is: 'descend'; readonly step: Step }
  | { readonly is: 'filter'; readonly test: Test }

export type Test =
  | { readonly left: Path; readonly operator: undefined }
  | { readonly left: Path; readonly operator: '==' | '!=' | '<' | '<=' | '>' | '>='; readonly right: Path }

export interface Path {
  /** From the whole document rather than from the current item. */
  readonly fromRoot: boolean
  readonly steps: readonly Step[]
  /** A quoted text or a number instead of a path. */
  readonly literal?: JsonValue
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\', '"': '"', "'": "'" }

/** Reads one expression; InvalidArgument names the character that is wrong. */
export function parsePath(text: string): Path {
  const reader = new Reader(text)
  const path = reader.path()
  if (!reader.atEnd()) reader.fail('the end')
  return path
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  atEnd(): boolean {
    this.#space()
    return this.#at === this.#text.length
  }

  fail(expected: string): never {
    const found = this.#at >= this.#text.length ? 'the end' : `"${this.#text.slice(this.#at, this.#at + 12)}"`
    throw new GantryError(
      'InvalidArgument',
      `jsonpath "${this.#text}", character ${this.#at + 1}: expected ${expected}, found ${found}`,
    )
  }

  path(): Path {
    this.#space()
    const literal = this.#literal()
    if (literal !== undefined) return { fromRoot: false, steps: [], literal }
    const begin = this.#at
    const fromRoot = this.#take('$')
    const current = !fromRoot && this.#take('@')
    const steps: Step[] = []
    for (;;) {
      if (this.#take('..')) steps.push({ is: 'descend', step: this.#peek('[') ? this.#bracket() : this.#name() })
      else if (this.#peek('[')) steps.push(this.#bracket())
      else if (this.#take('.')) {
        if (this.#peek('[') || this.#atWordEnd()) continue
        steps.push(this.#name())
      } else if (steps.length === 0 && !fromRoot && !current && !this.#atWordEnd()) steps.push(this.#name())
      else break
    }
    if (this.#at === begin) this.fail('a path')
    return { fromRoot, steps }
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  #peek(token: string): boolean {
    return this.#text.startsWith(token, this.#at)
  }

  #take(token: string): boolean {
    if (!this.#peek(token)) return false
    this.#at += token.length
    return true
  }

  #atWordEnd(): boolean {
    return this.#at >= this.#text.length || /[\s\]),=!<>]/.test(this.#text[this.#at]!)
  }

  #literal(): JsonValue | undefined {
    const quote = this.#text[this.#at]
    if (quote === '"' || quote === "'") return this.#quoted()
    const number = /^-?\d+(\.\d+)?(?![\w.])/.exec(this.#text.slice(this.#at))?.[0]
    if (number !== undefined) {
      this.#at += number.length
      return Number(number)
    }
    const word = /^(true|false|null)(?![\w.])/.exec(this.#text.slice(this.#at))?.[0]
    if (word === undefined) return undefined
    this.#at += word.length
    return JSON.parse(word) as JsonValue
  }

  #quoted(): string {
    const quote = this.#text[this.#at]!
    let text = ''
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!
      if (character === quote) {
        this.#at++
        return text
      }
      if (character !== '\\') text += character
      else {
        const escaped = this.#text[++this.#at] ?? ''
        text += ESCAPES[escaped] ?? `\\${escaped}`
      }
    }
    return this.fail(`the closing ${quote}`)
  }

  #name(): Step {
    if (this.#take('*')) return { is: 'all' }
    let name = ''
    for (; this.#at < this.#text.length && !/[\s.[\](),=!<>]/.test(this.#text[this.#at]!); this.#at++) {
      if (this.#text[this.#at] === '\\') this.#at++ // as in annotations.example\.com/owner
      name += this.#text[this.#at] ?? ''
    }
    if (name === '') this.fail('a field name')
    return { is: 'field', name }
  }

  #bracket(): Step {
    this.#at++
    this.#space()
    if (this.#take('?')) return this.#filter()
    const steps = [this.#item()]
    this.#space()
    while (this.#take(',')) {
      steps.push(this.#item())
      this.#space()
    }
    if (!this.#take(']')) this.fail('"]"')
    return steps.length === 1 ? steps[0]! : { is: 'union', steps }
  }

  #item(): Step {
    this.#space()
    if (this.#take('*')) return { is: 'all' }
    if (this.#peek('"') || this.#peek("'")) return { is: 'field', name: this.#quoted() }
    const numbers = /^(-?\d+)?(?:(:)(-?\d+)?(?::(\d+))?)?/.exec(this.#text.slice(this.#at))!
    const [all, from, colon, to, by] = numbers
    if (all === '') return this.#name()
    this.#at += all.length
    const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))
    if (colon === undefined) return { is: 'index', at: Number(from) }
    if (by === '0') this.fail('a step of at least 1')
    return { is: 'slice', from: number(from), to: number(to), by: number(by) ?? 1 }
  }

  #filter(): Step {
    this.#space()
    if (!this.#take('(')) this.fail('"("')
    const left = this.path()
    this.#space()
    const operator = (['==', '!=', '<=', '>=', '<', '>'] as const).find((token) => this.#take(token))
    const test: Test = operator === undefined ? { left, operator } : { left, operator, right: this.path() }
    this.#space()
    if (!this.#take(')')) this.fail('")"')
    this.#space()
    if (!this.#take(']')) this.fail('"]"')
    return { is: 'filter', test }
  }
}
