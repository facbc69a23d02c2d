/** What may stand in place of the last word of a command line, for any set of commands. */
import { readContexts } from '../client/context.ts'
import type { KnownKinds } from '../schema/kind-registry.ts'
import { resourceOf, resources } from '../schema/schema.ts'
import type { Kind } from '../gen/types.ts'
import { kindsWith } from '../client/kinds/registry.ts'
import type { Candidate, Command, Completes, Program } from './command.ts'
import { parseLine, tokenize } from './command-line.ts'
import type { Flag, FlagValues, Flags } from './flags.ts'
import type { Environment } from './environment.ts'
import { globalFlags, Target, type GlobalFlags } from './target.ts'

/** A shell waits for the answer. */
const PATIENCE_MS = 2_000

/** Candidates that fit, one a line; each with a tab and what it is if `descriptions`. */
export async function completions(
  words: readonly string[],
  environment: Environment,
  program: Program,
  descriptions: boolean,
): Promise<string> {
  const prefix = words.at(-1) ?? ''
  // Of a list of names the last one is completed.
  const list = prefix.slice(0, prefix.lastIndexOf(',') + 1)
  const candidates = await offer(words.slice(0, -1), prefix, environment, program)
  const fitting = candidates.flatMap(({ word, description }) => {
    const whole = word.startsWith(prefix)
      ? word
      : list !== '' && word.startsWith(prefix.slice(list.length))
        ? `${list}${word}`
        : undefined
    return whole === undefined ? [] : [{ word: whole, description }]
  })
  return fitting.map(({ word, description }) => (descriptions ? `${word}\t${description}\n` : `${word}\n`)).join('')
}

async function offer(
  words: readonly string[],
  prefix: string,
  environment: Environment,
  program: Program,
): Promise<Candidate[]> {
  const { commands } = program
  if (words.includes('--')) return []
  const found = await commandIn(words, program)
  if (found === undefined)
    return Object.entries(commands).flatMap(([word, { summary, hidden }]) =>
      hidden === true ? [] : [{ word, description: summary }],
    )
  const { command, rest } = found
  const known = { ...program.globalFlags, ...command.flags } as Flags
  const tokens = tokenize(rest, known)
  const last = tokens.at(-1)
  const open = last?.is === 'flag' ? valueFlag(known, last.text) : undefined
  const complete = open === undefined ? rest : rest.slice(0, -1)
  const target = targetOf(command, complete, environment)
  if (open !== undefined) return offerValue(open, target, words, environment, program)
  if (prefix.startsWith('-'))
    return Object.entries(known).map(([name, { help }]) => ({ word: `--${name}`, description: help }))
  const operands = tokens.filter(({ is }) => is === 'operand').map(({ text }) => text)
  const subcommands = Object.entries(command.subcommands ?? {}).map(([word, { summary }]) => ({
    word,
    description: summary,
  }))
  return operands.length === 0 && subcommands.length > 0
    ? subcommands
    : offerOperand(
        command.completes,
        operands,
        prefix,
        { target, kinds: environment.kinds },
        () => program.candidates?.(command.completes as 'rigs' | 'machines', words, environment) ?? Promise.resolve([]),
      )
}

async function commandIn(
  words: readonly string[],
  { commands, globalFlags: global }: Program,
): Promise<{ command: Command; rest: string[] } | undefined> {
  const name = tokenize(words, global as Flags).find(({ is }) => is === 'operand')?.text
  if (name === undefined || commands[name] === undefined) return undefined
  let command = await commands[name].load()
  let rest = without(words, name)
  for (;;) {
    const word = tokenize(rest, { ...global, ...command.flags } as Flags).find(({ is }) => is === 'operand')?.text
    const subcommand = word === undefined ? undefined : command.subcommands?.[word]
    if (subcommand === undefined) return { command, rest }
    command = subcommand
    rest = without(rest, word!)
  }
}

function without(words: readonly string[], word: string): string[] {
  const at = words.indexOf(word)
  return [...words.slice(0, at), ...words.slice(at + 1)]
}

/** The flag whose value the next word is. */
function valueFlag(known: Flags, text: string): Flag | undefined {
  const found = text.startsWith('--')
    ? known[text.slice(2)]
    : Object.values(known).find(({ short }) => short === text.at(-1))
  return found === undefined || found.type === 'boolean' || found.bare !== undefined ? undefined : found
}

function targetOf(command: Command, words: readonly string[], environment: Environment): Target {
  const line = parseLine('gantry', command, globalFlags, words)
  const flags = (line?.flags ?? {}) as FlagValues<GlobalFlags>
  return new Target({ ...flags, server: flags.server ?? [], 'request-timeout': PATIENCE_MS }, environment)
}

async function offerValue(
  flag: Flag,
  target: Target,
  words: readonly string[],
  environment: Environment,
  { candidates }: Program,
): Promise<Candidate[]> {
  if (flag.choices !== undefined) return flag.choices.map((word) => ({ word, description: '' }))
  switch (flag.completes) {
    case 'namespace':
      return namesOf('Namespace', target)
    case 'context':
      return contextsOf(target)
    case 'rig':
      return (await candidates?.('rigs', words, environment)) ?? []
    case 'file':
    case 'container':
    case undefined:
      return []
  }
}

async function contextsOf(target: Target): Promise<Candidate[]> {
  return (await readContexts(target.file)).contexts.map(({ name, server }) => ({
    word: name,
    description: server.join(','),
  }))
}

/** The cluster that a line is about, and the kinds that are known of it. */
interface Known {
  readonly target: Target
  readonly kinds: KnownKinds
}

async function offerOperand(
  completes: Completes,
  operands: readonly string[],
  prefix: string,
  known: Known,
  own: () => Promise<Candidate[]>,
): Promise<Candidate[]> {
  const { target } = known
  switch (completes) {
    case 'none':
      return []
    case 'rigs':
      return operands.length === 0 ? own() : []
    case 'machines':
      return own()
    case 'contexts':
      return contextsOf(target)
    case 'kinds':
      return operands.length === 0 ? kinds(prefix, known) : []
    case 'nodes':
      return namesOf('Node', target)
    case 'pods':
      return operands.length === 0 ? namesOf('Pod', target) : []
    case 'pods-and-workloads':
      return operands.length > 0
        ? []
        : prefix.includes('/')
          ? pairs(prefix, known)
          : [...(await namesOf('Pod', target)), ...words(makers(known), '/')]
    case 'deployments':
      return prefix.includes('/')
        ? pairs(prefix, known)
        : words(
            kindsWith(({ rollout }) => rollout !== undefined, known.kinds),
            '/',
          )
    case 'workloads':
      return prefix.includes('/') ? pairs(prefix, known) : words(makers(known), '/')
    case 'kinds-and-names': {
      if (prefix.includes('/')) return pairs(prefix, known)
      const kind = operands[0] === undefined ? undefined : await kindCalled(operands[0], known)
      return kind === undefined
        ? kinds(prefix, known)
        : (await namesOf(kind, target)).filter(({ word }) => !operands.includes(word))
    }
  }
}

/** Of kinds that definitions define the cluster is asked only where no other fits. */
async function kinds(prefix: string, known: Known): Promise<Candidate[]> {
  const word = prefix.slice(prefix.lastIndexOf(',') + 1)
  if (!resources.some(({ plural }) => plural.startsWith(word))) await learn(known)
  return known.kinds.resources().map(({ plural, kind }) => ({ word: plural, description: kind }))
}

async function kindCalled(word: string, known: Known): Promise<Kind | undefined> {
  const { kinds } = known
  if (kinds.findWord(word) === undefined) await learn(known)
  const found = kinds.findWord(word)
  return found === undefined ? undefined : kinds.ofResource(found)
}

async function learn({ target }: Known): Promise<void> {
  const { learnKinds } = await import('../client/custom-kinds.ts')
  await learnKinds(await target.cluster())
}

/** Kinds whose objects make pods. */
function makers(known: Known): Kind[] {
  return kindsWith(({ pods }) => pods?.are === 'made', known.kinds)
}

function words(list: readonly Kind[], end: string): Candidate[] {
  return list.map((kind) => ({ word: `${kind.toLowerCase()}${end}`, description: kind }))
}

async function pairs(prefix: string, known: Known): Promise<Candidate[]> {
  const word = prefix.slice(0, prefix.indexOf('/'))
  const kind = await kindCalled(word, known)
  return kind === undefined
    ? []
    : (await namesOf(kind, known.target)).map((candidate) => ({ ...candidate, word: `${word}/${candidate.word}` }))
}

async function namesOf(kind: Kind, target: Target): Promise<Candidate[]> {
  if (kind === 'Event') return []
  try {
    const cluster = await target.cluster()
    const { items } = await cluster.list(kind, {
      namespace: resourceOf(kind).namespaced ? await target.namespace() : '',
    })
    return items.map(({ metadata }) => ({ word: metadata.name, description: resourceOf(kind).kind }))
  } finally {
    target.close()
  }
}
