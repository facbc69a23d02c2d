/**
 * A program's command line: flags that stand for settings of its configuration file (config-file.ts), beside --config,
 * --help and --version.
 */
import { parseArgs } from 'node:util'
import { readConfig, type Override, type Settings } from './config-file.ts'
import { GantryError } from './errors.ts'
import { nearest } from './nearest.ts'

/** A flag that stands for a setting. */
export interface Flag {
  /** Where the setting is, e.g. ['tls', 'ca']. */
  readonly setting: readonly string[]
  /** What stands for its value in the help, e.g. HOST:PORT. */
  readonly value: string
  /** For people; begins small, ends without a stop. */
  readonly description: string
  /** `list`: may be given several times. Default: text. */
  readonly type?: 'text' | 'count' | 'list'
}

export interface Program {
  readonly name: string
  /** One sentence. */
  readonly purpose: string
  readonly version: string
  /** By name, without the dashes. */
  readonly flags: Readonly<Record<string, Flag>>
}

/** What the command line asks for: something to be printed, or the program with a file and flags. */
export type Invocation =
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'run'; readonly file: string | undefined; readonly overrides: readonly Override[] }

const OWN: Readonly<Record<string, Pick<Flag, 'value' | 'description'>>> = {
  config: { value: 'FILE', description: 'settings, YAML or JSON' },
  help: { value: '', description: 'print this' },
  version: { value: '', description: 'print the version' },
}

/** Reads a command line without the program itself. InvalidArgument, in one line, for what it cannot be. */
export function parseInvocation(program: Program, argv: readonly string[]): Invocation {
  const known = { ...OWN, ...program.flags }
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(known).map(([name, { value }]) => [name, { type: value === '' ? 'boolean' : 'string' } as const]),
    ),
  })
  const given = new Map<string, string[]>()
  for (const token of tokens) {
    if (token.kind !== 'option')
      throw usage(program, token.kind === 'positional' ? `"${token.value}" is not a flag` : '"--" is not a flag')
    const { name, rawName, value, inlineValue } = token
    const flag = Object.hasOwn(known, name) ? known[name] : undefined
    if (flag === undefined) throw usage(program, `there is no flag ${rawName}${hint(name, Object.keys(known))}`)
    if (flag.value === '' && value !== undefined) throw usage(program, `${rawName} takes no value`)
    if (flag.value !== '' && (value === undefined || (inlineValue !== true && value.startsWith('-'))))
      throw usage(program, `${rawName} needs a value: ${rawName} ${flag.value}`)
    const values = given.get(name) ?? []
    if (values.length > 0 && program.flags[name]?.type !== 'list') throw usage(program, `${rawName} is given twice`)
    given.set(name, [...values, value ?? ''])
  }
  if (given.has('help')) return { kind: 'print', text: help(program) }
  if (given.has('version')) return { kind: 'print', text: `${program.name} ${program.version}\n` }
  const overrides = Object.entries(program.flags).flatMap(([name, { setting, type = 'text' }]): Override[] => {
    const values = given.get(name)
    return values === undefined
      ? []
      : [
          {
            flag: `--${name}`,
            path: setting,
            value:
              type === 'list' ? values : type === 'count' && /^\d+$/.test(values[0]!) ? Number(values[0]) : values[0]!,
          },
        ]
  })
  return { kind: 'run', file: given.get('config')?.[0], overrides }
}

/** Where a program prints. */
export interface Terminal {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/**
 * The settings to run with, or the exit code when there is nothing to run: something was printed (0), or what is given
 * is refused and why was printed (2). `check` throws InvalidArgument for settings that do not go together.
 */
export async function configure<T extends object>(
  program: Program,
  settings: Settings<T>,
  argv: readonly string[],
  { stdout, stderr }: Terminal,
  check?: (settings: T) => void,
): Promise<{ readonly settings: T } | { readonly exitCode: 0 | 2 }> {
  try {
    const invocation = parseInvocation(program, argv)
    if (invocation.kind === 'run') {
      const read = await readConfig(invocation.file, settings, invocation.overrides)
      check?.(read)
      return { settings: read }
    }
    stdout.write(invocation.text)
    return { exitCode: 0 }
  } catch (thrown) {
    stderr.write(`${GantryError.from(thrown).message}\n`)
    return { exitCode: 2 }
  }
}

function hint(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? '' : `, did you mean --${near}?`
}

function usage({ name }: Program, problem: string): GantryError {
  return new GantryError('InvalidArgument', `${problem} (${name} --help tells what there is)`)
}

function help({ name, purpose, flags }: Program): string {
  const rows = Object.entries({ ...OWN, ...flags }).map(
    ([flag, { value, description: says }]) =>
      [
        `  --${flag} ${value}`.trimEnd(),
        `${says}${(flags[flag]?.type ?? 'text') === 'list' ? '; may be given several times' : ''}`,
      ] as const,
  )
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return [
    `${purpose}`,
    '',
    `usage: ${name} [flags]`,
    '',
    ...rows.map(([left, right]) => left.padEnd(width) + right),
    '',
    'A flag wins over the same setting in the file.',
    '',
  ].join('\n')
}
