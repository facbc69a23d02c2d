/**
 * Text for programs that read commands: ip(8) and bridge(8) in batches, nft(8), and a shell. It is written with
 * template tags:
 *
 *   ip`route replace ${range} via ${address} dev ${device}`
 *
 * What the template says is the author's; what is put into it comes from elsewhere, and has to be one word of the
 * program's language. So an address that is none, with a line break, a space or a bracket in it, is refused
 * (InvalidArgument) and never becomes a command. The functions that hand text to these programs
 * (network/node-commands.ts) take a `ProgramText` only, so a plain string cannot reach them.
 */
import { GantryError } from '../../proto/base/errors.ts'

export type Language = 'ip' | 'nft' | 'sh'

/** What may be put into a template: a word, a number from 0, or text of the same language. */
export type Interpolated<L extends Language> = string | number | bigint | ProgramText<L>

/**
 * One word, which is no option. Of nft also words that are concatenated ("10.1.0.2 . tcp . 80"), as keys and values
 * of its maps are; nowhere a quote, a bracket, a semicolon, a comma, "$", "@", "#", a backslash, or white space.
 */
const SAFE_WORD_PATTERNS: Readonly<Record<Language, RegExp>> = {
  ip: /^[A-Za-z0-9:_/][A-Za-z0-9:_/.@-]*$/,
  sh: /^[A-Za-z0-9:_/][A-Za-z0-9:_/.@-]*$/,
  nft: /^[A-Za-z0-9:_][A-Za-z0-9:_/.-]*(?: \. [A-Za-z0-9:_][A-Za-z0-9:_/.-]*)*$/,
}

class ProgramText<L extends Language = Language> {
  readonly language: L
  readonly text: string

  private constructor(language: L, text: string) {
    this.language = language
    this.text = text
  }

  static tag<L extends Language>(language: L): Tag<L> {
    const tag = (parts: TemplateStringsArray, ...values: readonly Interpolated<L>[]): ProgramText<L> => {
      let text = parts[0]!
      for (const [index, value] of values.entries()) text += interpolate(language, value) + parts[index + 1]!
      return new ProgramText(language, text)
    }
    const all = (values: readonly Interpolated<L>[]): string[] => values.map((value) => interpolate(language, value))
    return Object.assign(tag, {
      lines: (...texts: readonly ProgramText<L>[]) => new ProgramText(language, [...all(texts), ''].join('\n')),
      list: (values: readonly Interpolated<L>[]) => new ProgramText(language, all(values).join(', ')),
      join: (...texts: readonly ProgramText<L>[]) => new ProgramText(language, all(texts).join('')),
    })
  }

  toString(): string {
    return this.text
  }
}

export interface Tag<L extends Language> {
  (parts: TemplateStringsArray, ...values: readonly Interpolated<L>[]): ProgramText<L>
  /** Each with a line break behind it. */
  lines(...texts: readonly ProgramText<L>[]): ProgramText<L>
  /** With commas between. */
  list(values: readonly Interpolated<L>[]): ProgramText<L>
  /** One after another, as they are. */
  join(...texts: readonly ProgramText<L>[]): ProgramText<L>
}

/** One line of a batch for ip(8) or bridge(8). */
export const ip = ProgramText.tag('ip')
/** For `nft -f`. */
export const nft = ProgramText.tag('nft')
/** For `sh -c`. */
export const sh = ProgramText.tag('sh')

export type IpText = ProgramText<'ip'>
export type NftText = ProgramText<'nft'>
export type ShellText = ProgramText<'sh'>

function interpolate(language: Language, value: string | number | bigint | ProgramText): string {
  if (value instanceof ProgramText && value.language === language) return value.text
  if (typeof value === 'bigint' && value >= 0n) return String(value)
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return String(value)
  if (typeof value === 'string' && SAFE_WORD_PATTERNS[language].test(value)) return value
  const shown = JSON.stringify(String(value)).slice(0, 200)
  throw new GantryError('InvalidArgument', `${shown} cannot be a word in a command for ${language}`)
}
