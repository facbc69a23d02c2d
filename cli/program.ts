/** From the words of a command line to an exit code: finds the command, loads only that one, runs it, tells what failed. */
import { GantryError } from '../proto/api/errors.ts'
import { nearest } from '../proto/api/nearest.ts'
import { helpText, parseLine, tokenize, UsageError, type Command, type FlagValues, type Flags } from './command.ts'
import { commands } from './commands/index.ts'
import type { Environment } from './environment.ts'
import { EXIT, exitCodeOf, formatFailure, type Origin } from './failure.ts'
import { globalFlags, Target, type GlobalFlags } from './target.ts'

/** Runs one command line (without node and script) to its end. Never rejects. */
export async function runProgram(argv: readonly string[], environment: Environment): Promise<number> {
  let target: Target | undefined
  try {
    const found = await findCommand(argv)
    if (found === undefined) {
      environment.stdout.write(overview())
      return EXIT.ok
    }
    const { path, command, rest } = found
    const line = parseLine(path, command, globalFlags, rest)
    if (line === undefined) {
      environment.stdout.write(helpText(path, command, globalFlags))
      return EXIT.ok
    }
    if (command.run === undefined) throw unknownSubcommand(path, command, line.args[0])
    target = new Target(line.flags as FlagValues<GlobalFlags>, environment)
    const invocation = { flags: line.flags as FlagValues<Flags>, global: line.flags as FlagValues<GlobalFlags>, given: line.given, args: line.args, rest: line.rest, environment, target }
    return (await command.run(invocation)) ?? EXIT.ok
  } catch (thrown) {
    const error = environment.signal.aborted ? GantryError.from(environment.signal.reason, 'Cancelled') : GantryError.from(thrown)
    if (error.code === 'Cancelled') return EXIT.interrupted
    environment.stderr.write(formatFailure(error, await originOf(target)))
    return exitCodeOf(error)
  } finally {
    target?.close()
  }
}

async function originOf(target: Target | undefined): Promise<Origin | undefined> {
  if (target === undefined || !target.dialled) return undefined
  const context = await target.context()
  return { server: context.server.join(', '), context: context.name }
}

interface Found {
  readonly path: string
  readonly command: Command
  /** The command line without the words that name the command. */
  readonly rest: readonly string[]
}

/** Undefined: the overview is asked for. */
async function findCommand(argv: readonly string[]): Promise<Found | undefined> {
  const word = tokenize(argv, globalFlags).find((token) => token.is === 'operand')
  const first = argv[0]
  if (word === undefined) {
    if (first === '--version') return { path: 'gantry version', command: await commands.version!.load(), rest: argv.slice(1) }
    if (first !== undefined && first !== '-h' && first !== '--help') throw new UsageError(`no command in "gantry ${argv.join(' ')}"`, '`gantry --help` lists the commands')
    return undefined
  }
  if (word.text === 'help') return findCommand([...argv.filter((text) => text !== 'help'), ...(argv.length > 1 ? ['--help'] : [])])
  const name = Object.entries(commands).find(([known, { aliases }]) => known === word.text || aliases?.includes(word.text) === true)?.[0]
  if (name === undefined) {
    const { elsewhere } = await import('./commands/elsewhere.ts')
    if (Object.hasOwn(elsewhere, word.text)) throw new UsageError(`gantry has no command "${word.text}"`, elsewhere[word.text])
    const meant = nearest(word.text, Object.keys(commands).filter((known) => commands[known]!.hidden !== true))
    throw new UsageError(`unknown command "${word.text}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`, meant === undefined ? '`gantry --help` lists the commands' : '')
  }
  const command = await commands[name]!.load()
  return descend({ path: `gantry ${name}`, command, rest: without(argv, word.text) })
}

/** Follows words that name subcommands. */
function descend(found: Found): Found {
  const { command, path, rest } = found
  const word = tokenize(rest, { ...globalFlags, ...command.flags }).find((token) => token.is === 'operand')?.text
  const subcommand = word === undefined ? undefined : command.subcommands?.[word]
  return subcommand === undefined ? found : descend({ path: `${path} ${word}`, command: subcommand, rest: without(rest, word!) })
}

function without(argv: readonly string[], word: string): string[] {
  const at = argv.indexOf(word)
  return [...argv.slice(0, at), ...argv.slice(at + 1)]
}

function unknownSubcommand(path: string, command: Command, word: string | undefined): UsageError {
  const names = Object.keys(command.subcommands ?? {})
  if (word === undefined) return new UsageError(`${path} needs one of: ${names.join(', ')}`)
  const meant = nearest(word, names)
  return new UsageError(`unknown command "${path} ${word}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`, meant === undefined ? `it is one of ${names.join(', ')}` : '')
}

function overview(): string {
  const groups = new Map<string, string[]>()
  for (const [name, { group, summary, hidden }] of Object.entries(commands)) {
    if (hidden !== true) groups.set(group, [...(groups.get(group) ?? []), `  ${name.padEnd(14)} ${summary}`])
  }
  const listed = [...groups].map(([group, lines]) => `${group}:\n${lines.join('\n')}\n`).join('\n')
  return `gantry runs containers on many machines.\n\nUsage: gantry COMMAND [operands] [flags]\n\n${listed}\n\`gantry COMMAND --help\` tells more about one.\n`
}
