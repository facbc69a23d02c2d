/**
 * From the words of a command line to an exit code: finds the command, loads only that one, runs it, tells what failed.
 */
import { GantryError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import type { Command, Program } from './command.ts'
import type { Environment } from './environment.ts'
import { EXIT, exitCodeOf, formatFailure, type Origin } from './failure.ts'
import type { ClusterClient } from '../client/cluster.ts'
import { namesUnknownKind } from './unknown-kinds.ts'
import { globalFlags, Target, type GlobalFlags } from './target.ts'
import { helpText, parseLine, tokenize, type ParsedLine } from './command-line.ts'
import { UsageError } from '../client/failures.ts'
import type { Flag, FlagValues, Flags } from './flags.ts'

/** Runs one command line (without node and script) to its end. Never rejects. */
export async function runProgram(argv: readonly string[], environment: Environment, program: Program): Promise<number> {
  let target: Target | undefined
  try {
    const found = await findCommand(program, argv)
    if (found === undefined) {
      environment.stdout.write(overview(program))
      return EXIT.ok
    }
    const { path, command, rest } = found
    const line = found.verbatim ? VERBATIM : parseLine(path, command, program.globalFlags as Flags, rest)
    if (line === undefined) {
      environment.stdout.write(helpText(path, command, program.globalFlags as Flags))
      return EXIT.ok
    }
    if (command.run === undefined) throw unknownSubcommand(path, command, line.args[0])
    const global = globalValues(program, line.flags)
    target = new Target(global, environment)
    const invocation = {
      flags: line.flags as FlagValues<Flags>,
      global,
      given: line.given,
      args: found.verbatim ? rest : line.args,
      rest: line.rest,
      environment,
      program,
      target,
    }
    if (!found.verbatim && namesUnknownKind(command.completes, line.args, environment.kinds)) await learn(target)
    return (await command.run(invocation)) ?? EXIT.ok
  } catch (thrown) {
    const error = environment.signal.aborted
      ? GantryError.from(environment.signal.reason, 'Cancelled')
      : GantryError.from(thrown)
    if (error.code === 'Cancelled') return EXIT.interrupted
    environment.stderr.write(formatFailure(error, await originOf(target)))
    return exitCodeOf(error)
  } finally {
    target?.close()
  }
}

/** Without a context there is no cluster that could have other kinds than these. */
async function learn(target: Target): Promise<void> {
  let cluster: ClusterClient
  try {
    cluster = await target.cluster()
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return
    throw thrown
  }
  const { learnKinds } = await import('../client/custom-kinds.ts')
  await learnKinds(cluster)
}

const VERBATIM: ParsedLine = { flags: {}, given: new Set(), args: [], rest: undefined }

/** Values of the program's own global flags; the others are as if they were not given. */
function globalValues(program: Program, flags: ParsedLine['flags']): FlagValues<GlobalFlags> {
  return Object.fromEntries(
    Object.entries<Flag>(globalFlags).map(([name, flag]) => [
      name,
      Object.hasOwn(program.globalFlags, name) && Object.hasOwn(flags, name)
        ? flags[name]
        : flag.type === 'list'
          ? []
          : flag.default,
    ]),
  ) as FlagValues<GlobalFlags>
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
  /** The command reads its words itself. */
  readonly verbatim: boolean
}

/** Undefined: the overview is asked for. */
async function findCommand(program: Program, argv: readonly string[]): Promise<Found | undefined> {
  const { name: self, commands } = program
  const flags = program.globalFlags as Flags
  const word = tokenize(argv, flags).find((token) => token.is === 'operand')
  const first = argv[0]
  if (word === undefined) {
    if (first === '--version' && commands.version !== undefined)
      return { path: `${self} version`, command: await commands.version.load(), rest: argv.slice(1), verbatim: false }
    if (first !== undefined && !argv.some((text) => text === '-h' || text === '--help'))
      throw new UsageError(`no command in "${self} ${argv.join(' ')}"`, `\`${self} --help\` lists the commands`)
    return undefined
  }
  if (word.text === 'help')
    return findCommand(program, [...argv.filter((text) => text !== 'help'), ...(argv.length > 1 ? ['--help'] : [])])
  const found = Object.entries(commands).find(
    ([known, { aliases }]) => known === word.text || aliases?.includes(word.text) === true,
  )
  if (found === undefined) {
    const elsewhere = await program.unsupportedCommands()
    if (Object.hasOwn(elsewhere, word.text))
      throw new UsageError(`${self} has no command "${word.text}"`, elsewhere[word.text])
    const meant = nearest(
      word.text,
      Object.keys(commands).filter((known) => commands[known]!.hidden !== true),
    )
    throw new UsageError(
      `unknown command "${word.text}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
      meant === undefined ? `\`${self} --help\` lists the commands` : '',
    )
  }
  const [name, { load, verbatim = false }] = found
  const whole = { path: `${self} ${name}`, command: await load(), rest: without(argv, word.text), verbatim }
  return verbatim ? whole : descend(whole, flags)
}

/** Follows words that name subcommands. */
function descend(found: Found, globalFlags: Flags): Found {
  const { command, path, rest } = found
  const word = tokenize(rest, { ...globalFlags, ...command.flags }).find((token) => token.is === 'operand')?.text
  const subcommand = word === undefined ? undefined : command.subcommands?.[word]
  return subcommand === undefined
    ? found
    : descend({ ...found, path: `${path} ${word}`, command: subcommand, rest: without(rest, word!) }, globalFlags)
}

function without(argv: readonly string[], word: string): string[] {
  const at = argv.indexOf(word)
  return [...argv.slice(0, at), ...argv.slice(at + 1)]
}

function unknownSubcommand(path: string, command: Command, word: string | undefined): UsageError {
  const names = Object.keys(command.subcommands ?? {})
  if (word === undefined) return new UsageError(`${path} needs one of: ${names.join(', ')}`)
  const meant = nearest(word, names)
  return new UsageError(
    `unknown command "${path} ${word}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    meant === undefined ? `it is one of ${names.join(', ')}` : '',
  )
}

function overview({ name: self, says, commands }: Program): string {
  const groups = new Map<string, string[]>()
  for (const [name, { group, summary, hidden }] of Object.entries(commands)) {
    if (hidden !== true) groups.set(group, [...(groups.get(group) ?? []), `  ${name.padEnd(14)} ${summary}`])
  }
  const listed = [...groups].map(([group, lines]) => `${group}:\n${lines.join('\n')}\n`).join('\n')
  return `${says}\n\nUsage: ${self} COMMAND [operands] [flags]\n\n${listed}\n\`${self} COMMAND --help\` tells more about one.\n`
}
