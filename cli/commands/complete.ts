/** `gantry __complete -- word…`: what may stand in place of the last word; one candidate a line. Called by the scripts of `gantry completion`. */
import { readContexts } from '../../proto/api/context.ts'
import { findResource, resourceOf, resources } from '../../proto/api/schema.ts'
import type { Kind } from '../../proto/gen/types.ts'
import { defineCommand, parseLine, tokenize, type Command, type Completes, type Flag, type FlagValues, type Flags } from '../command.ts'
import type { Environment } from '../environment.ts'
import { globalFlags, Target, type GlobalFlags } from '../target.ts'
import { commands } from './index.ts'

/** A shell waits for the answer. */
const PATIENCE_MS = 2_000

interface Candidate {
  readonly word: string
  readonly description: string
}

export default defineCommand({
  usage: '-- WORD…',
  summary: 'offer completions',
  examples: [],
  flags: { descriptions: { type: 'boolean', help: 'each with a tab and what it is' } },
  completes: 'none',
  async run({ flags, rest, environment }) {
    const words = rest ?? []
    const prefix = words.at(-1) ?? ''
    const candidates = await offer(words.slice(0, -1), prefix, environment)
    const fitting = candidates.filter(({ word }) => word.startsWith(prefix))
    environment.stdout.write(fitting.map(({ word, description }) => (flags.descriptions ? `${word}\t${description}\n` : `${word}\n`)).join(''))
  },
})

async function offer(words: readonly string[], prefix: string, environment: Environment): Promise<Candidate[]> {
  if (words.includes('--')) return []
  const found = await commandIn(words)
  if (found === undefined) return Object.entries(commands).flatMap(([word, { summary, hidden }]) => (hidden === true ? [] : [{ word, description: summary }]))
  const { command, rest } = found
  const known: Flags = { ...globalFlags, ...command.flags }
  const tokens = tokenize(rest, known)
  const last = tokens.at(-1)
  const open = last?.is === 'flag' ? valueFlag(known, last.text) : undefined
  const complete = open === undefined ? rest : rest.slice(0, -1)
  const target = targetOf(command, complete, environment)
  if (open !== undefined) return offerValue(open, target)
  if (prefix.startsWith('-')) return Object.entries(known).map(([name, { help }]) => ({ word: `--${name}`, description: help }))
  const operands = tokens.filter(({ is }) => is === 'operand').map(({ text }) => text)
  const subcommands = Object.entries(command.subcommands ?? {}).map(([word, { summary }]) => ({ word, description: summary }))
  return operands.length === 0 && subcommands.length > 0 ? subcommands : offerOperand(command.completes, operands, prefix, target)
}

async function commandIn(words: readonly string[]): Promise<{ command: Command; rest: string[] } | undefined> {
  const name = tokenize(words, globalFlags).find(({ is }) => is === 'operand')?.text
  if (name === undefined || commands[name] === undefined) return undefined
  let command = await commands[name].load()
  let rest = without(words, name)
  for (;;) {
    const word = tokenize(rest, { ...globalFlags, ...command.flags }).find(({ is }) => is === 'operand')?.text
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
  const found = text.startsWith('--') ? known[text.slice(2)] : Object.values(known).find(({ short }) => short === text.at(-1))
  return found === undefined || found.type === 'boolean' || found.bare !== undefined ? undefined : found
}

function targetOf(command: Command, words: readonly string[], environment: Environment): Target {
  const line = parseLine('gantry', command, globalFlags, words)
  const flags = (line?.flags ?? {}) as FlagValues<GlobalFlags>
  return new Target({ ...flags, server: flags.server ?? [], 'request-timeout': PATIENCE_MS }, environment)
}

async function offerValue(flag: Flag, target: Target): Promise<Candidate[]> {
  if (flag.choices !== undefined) return flag.choices.map((word) => ({ word, description: '' }))
  switch (flag.completes) {
    case 'namespace': return namesOf('Namespace', target)
    case 'context': return contextsOf(target)
    case 'file': case 'container': case undefined: return []
  }
}

async function contextsOf(target: Target): Promise<Candidate[]> {
  return (await readContexts(target.file)).contexts.map(({ name, server }) => ({ word: name, description: server.join(',') }))
}

async function offerOperand(completes: Completes, operands: readonly string[], prefix: string, target: Target): Promise<Candidate[]> {
  switch (completes) {
    case 'none': return []
    case 'contexts': return contextsOf(target)
    case 'kinds': return operands.length === 0 ? kinds() : []
    case 'nodes': return namesOf('Node', target)
    case 'pods': return operands.length === 0 ? namesOf('Pod', target) : []
    case 'pods-and-workloads': return operands.length > 0 ? [] : prefix.includes('/') ? pairs(prefix, target) : [...await namesOf('Pod', target), ...words(['Deployment', 'ReplicaSet'], '/')]
    case 'deployments': return prefix.includes('/') ? pairs(prefix, target) : words(['Deployment'], '/')
    case 'workloads': return prefix.includes('/') ? pairs(prefix, target) : words(['Deployment', 'ReplicaSet'], '/')
    case 'kinds-and-names': {
      if (prefix.includes('/')) return pairs(prefix, target)
      const kind = operands[0] === undefined ? undefined : findResource(operands[0])?.kind
      return kind === undefined ? kinds() : (await namesOf(kind as Kind, target)).filter(({ word }) => !operands.includes(word))
    }
  }
}

function kinds(): Candidate[] {
  return resources.map(({ plural, kind }) => ({ word: plural, description: kind }))
}

function words(list: readonly Kind[], end: string): Candidate[] {
  return list.map((kind) => ({ word: `${kind.toLowerCase()}${end}`, description: kind }))
}

async function pairs(prefix: string, target: Target): Promise<Candidate[]> {
  const word = prefix.slice(0, prefix.indexOf('/'))
  const kind = findResource(word)?.kind
  return kind === undefined ? [] : (await namesOf(kind as Kind, target)).map((candidate) => ({ ...candidate, word: `${word}/${candidate.word}` }))
}

async function namesOf(kind: Kind, target: Target): Promise<Candidate[]> {
  if (kind === 'Event') return []
  try {
    const cluster = await target.cluster()
    const { items } = await cluster.list(kind, { namespace: resourceOf(kind).namespaced ? await target.namespace() : '' })
    return items.map(({ metadata }) => ({ word: metadata.name, description: kind }))
  } finally {
    target.close()
  }
}
