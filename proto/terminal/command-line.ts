/**
 * The words of a command line as flags and operands, and help. Parsing is commander's; what kubectl's users type beyond
 * it is made ready first: `--flag=false`, flags that may stand without a value (`--dry-run`), and everything behind
 * `--` left alone.
 */
import { Command as Commander, CommanderError, Option } from 'commander'
import { formatDuration, parseDuration } from '../base/duration.ts'
import { nearest } from '../base/nearest.ts'
import { UsageError } from '../client/failures.ts'
import type { Command } from './command.ts'
import type { Flag, Flags } from './flags.ts'
import { unsupportedFlagHints } from './unsupported-flags.ts'

/** A word on the command line and what it is. */
interface Token {
  readonly text: string
  readonly is: 'flag' | 'value' | 'operand'
}

function findFlag(flags: Flags, text: string): { name: string; flag: Flag; attached: string | undefined } | undefined {
  const long = /^--([^=]+)(?:=(.*))?$/s.exec(text)
  if (long !== null) {
    const flag = flags[long[1]!]
    return flag === undefined ? undefined : { name: long[1]!, flag, attached: long[2] }
  }
  for (let at = 1; at < text.length; at++) {
    const found = Object.entries(flags).find(([, flag]) => flag.short === text[at])
    if (found === undefined) return undefined
    const [name, flag] = found
    if (flag.type !== 'boolean')
      return { name, flag, attached: at + 1 < text.length ? text.slice(at + 1).replace(/^=/, '') : undefined }
    if (at + 1 === text.length) return { name, flag, attached: 'true' }
  }
  return undefined
}

function takesNext(flags: Flags, text: string): boolean {
  const found = findFlag(flags, text)
  return (
    found !== undefined &&
    found.attached === undefined &&
    found.flag.type !== 'boolean' &&
    found.flag.bare === undefined
  )
}

/** Tells flags, their values and operands apart; stops before `--`. */
export function tokenize(argv: readonly string[], flags: Flags): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < argv.length && argv[at] !== '--'; at++) {
    const text = argv[at]!
    const isFlag = text.startsWith('-') && text !== '-'
    tokens.push({ text, is: isFlag ? 'flag' : 'operand' })
    if (isFlag && takesNext(flags, text) && at + 1 < argv.length) tokens.push({ text: argv[++at]!, is: 'value' })
  }
  return tokens
}

/** Puts flags into the forms that commander reads. */
function prepare(tokens: readonly Token[], flags: Flags): string[] {
  return tokens.flatMap(({ text, is }) => {
    if (is !== 'flag') return text
    const found = findFlag(flags, text)
    if (!text.startsWith('--')) return withoutEquals(text, found?.flag)
    if (found?.flag.type === 'boolean' && found.attached !== undefined) {
      if (/^(true|t|1)$/i.test(found.attached)) return `--${found.name}`
      if (/^(false|f|0)$/i.test(found.attached)) return isNegation(found.name) ? [] : `--no-${found.name}`
      throw new UsageError(`--${found.name} is true or false, not "${found.attached}"`)
    }
    return found?.flag.bare !== undefined && found.attached === undefined ? `--${found.name}=${found.flag.bare}` : text
  })
}

/** "-n=shop" as "-nshop". */
function withoutEquals(text: string, flag: Flag | undefined): string {
  if (flag?.short === undefined || flag.type === 'boolean') return text
  const end = text.indexOf(flag.short, 1) + 1
  return text[end] === '=' ? text.slice(0, end) + text.slice(end + 1) : text
}

/** A flag whose own name begins with "no-", which commander takes for the negation of the rest. */
function isNegation(name: string): boolean {
  return name.startsWith('no-')
}

function declare(name: string, flag: Flag): Option[] {
  const short = flag.short === undefined ? '' : `-${flag.short}, `
  if (flag.type === 'boolean') {
    const shown = flag.default === true ? `${flag.help} (default true)` : flag.help
    const option = new Option(`${short}--${name}`, shown)
    return isNegation(name) ? [option] : [option, new Option(`--no-${name}`).hideHelp()]
  }
  const placeholder = flag.value ?? { text: 'text', list: 'text', integer: 'number', duration: 'time' }[flag.type]
  const option = new Option(
    `${short}--${name} <${placeholder}>`,
    flag.default === undefined
      ? flag.help
      : `${flag.help} (default ${flag.type === 'duration' ? formatDuration(flag.default as number) : flag.default})`,
  )
  if (flag.choices !== undefined) option.choices(flag.choices)
  if (flag.type === 'list') {
    option.argParser((value: string, previous: string[] | undefined) => [
      ...(previous ?? []),
      ...(flag.commas === true ? value.split(',') : [value]),
    ])
  }
  return [option]
}

function readValue(name: string, flag: Flag, raw: unknown): unknown {
  if (flag.type === 'boolean') return raw ?? flag.default ?? false
  if (flag.type === 'list') return raw ?? []
  if (raw === undefined) return flag.default
  if (flag.type === 'integer') {
    if (!/^[+-]?\d+$/.test(raw as string)) throw new UsageError(`--${name} is a whole number, not "${String(raw)}"`)
    return Number(raw)
  }
  if (flag.type === 'duration') {
    try {
      return parseDuration(raw as string)
    } catch (thrown) {
      throw new UsageError(`--${name}: ${(thrown as Error).message}`)
    }
  }
  return raw
}

/** The library's own parser of a command: for help and for parsing. */
function commanderOf(path: string, command: Command, globalFlags: Flags): Commander {
  const commander = new Commander(path)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
  commander
    .usage(command.usage)
    .description(command.description ?? command.summary)
    .helpOption('-h, --help', 'show this text')
    .argument('[operands...]')
    .allowExcessArguments()
  for (const [name, flag] of Object.entries(command.flags))
    for (const option of declare(name, flag)) commander.addOption(option)
  commander.optionsGroup('Options for every command:')
  for (const [name, flag] of Object.entries(globalFlags))
    for (const option of declare(name, flag)) commander.addOption(option)
  commander.configureHelp({ visibleArguments: () => [] })
  const subcommands = Object.entries(command.subcommands ?? {}).map(
    ([name, { summary }]) => `  ${name.padEnd(18)} ${summary}`,
  )
  if (subcommands.length > 0) commander.addHelpText('after', `\nCommands:\n${subcommands.join('\n')}`)
  if (command.examples.length > 0)
    commander.addHelpText('after', `\nExamples:\n${command.examples.map((example) => `  ${example}`).join('\n')}`)
  return commander
}

/** Help as text. */
export function helpText(path: string, command: Command, globalFlags: Flags): string {
  let text = ''
  commanderOf(path, command, globalFlags)
    .configureOutput({ writeOut: (part) => void (text += part) })
    .outputHelp()
  return text
}

export interface ParsedLine {
  readonly flags: Readonly<Record<string, unknown>>
  readonly given: ReadonlySet<string>
  readonly args: readonly string[]
  readonly rest: readonly string[] | undefined
}

/** Reads a command line; UsageError for one that is wrong, undefined when help was asked for. */
export function parseLine(
  path: string,
  command: Command,
  globalFlags: Flags,
  argv: readonly string[],
): ParsedLine | undefined {
  const known: Flags = { ...globalFlags, ...command.flags }
  const dashes = argv.indexOf('--')
  const tokens = tokenize(argv, known)
  if (tokens.some(({ text, is }) => is === 'flag' && (text === '-h' || text === '--help'))) return undefined
  const commander = commanderOf(path, command, globalFlags)
  try {
    commander.parse(prepare(tokens, known), { from: 'user' })
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      const elsewhere = unsupportedFlagHints[/unknown option '([^'=]+)/.exec(thrown.message)?.[1] ?? '']
      throw new UsageError(
        commanderMessage(thrown, known),
        elsewhere ??
          (dashes < 0 && command.usage.includes(' -- ')
            ? 'the command to run stands after "--", with its flags'
            : `\`${path} --help\` lists the flags`),
      )
    }
    throw thrown
  }
  const raw = commander.opts<Record<string, unknown>>()
  const given = new Set<string>()
  const flags = Object.fromEntries(
    Object.entries(known).map(([name, flag]) => {
      const value = isNegation(name) ? raw[camelCase(name.slice(3))] === false || undefined : raw[camelCase(name)]
      if (value !== undefined) given.add(name)
      return [name, readValue(name, flag, value)]
    }),
  )
  return { flags, given, args: commander.args, rest: dashes < 0 ? undefined : argv.slice(dashes + 1) }
}

function camelCase(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function commanderMessage(error: CommanderError, flags: Flags): string {
  const text = error.message
    .replace(/^error: /, '')
    .split('\n')[0]!
    .replace(/'/g, '"')
    .replace(/\.$/, '')
    .replace('unknown option', 'unknown flag')
    .replace(/^option /, 'flag ')
  const typed = /unknown flag "--([^"=]+)/.exec(text)?.[1]
  const meant = typed === undefined ? undefined : nearest(typed, Object.keys(flags))
  return meant === undefined ? text : `${text}; did you mean --${meant}?`
}
