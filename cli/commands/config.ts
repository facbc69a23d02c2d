/** `gantry config`: the contexts in the context file. */
import { readContexts, type Context } from '../../proto/client/context.ts'
import { changeContexts, formatContexts, removeContext, upsertContext } from '../../proto/client/context-changes.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { nearest } from '../../proto/base/nearest.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { UsageError } from '../../proto/client/failures.ts'

const getContexts = defineCommand({
  usage: '[NAME…] [flags]',
  summary: 'list the contexts',
  examples: ['gantry config get-contexts'],
  flags: {
    'no-headers': { type: 'boolean', help: 'rows only' },
    output: { type: 'text', short: 'o', value: 'form', choices: ['name'], help: 'name: names only' },
  },
  completes: 'contexts',
  async run({ flags, args, environment, target }) {
    const { contexts, currentContext } = await readContexts(target.file)
    for (const name of args) known(contexts, name, target.file)
    const shown = args.length === 0 ? contexts : contexts.filter(({ name }) => args.includes(name))
    if (flags.output === 'name') return void environment.stdout.write(shown.map(({ name }) => `${name}\n`).join(''))
    const rows = shown.map(({ name, server, namespace }) => [
      name === currentContext ? '*' : '',
      name,
      server.join(','),
      namespace ?? '',
    ])
    environment.stdout.write(
      formatTable([...(flags['no-headers'] ? [] : [['CURRENT', 'NAME', 'SERVER', 'NAMESPACE']]), ...rows]),
    )
  },
})

const currentContext = defineCommand({
  usage: '',
  summary: 'print the current context',
  examples: [],
  flags: {},
  completes: 'none',
  async run({ environment, target }) {
    const { currentContext: current } = await readContexts(target.file)
    if (current === undefined)
      throw new GantryError('FailedPrecondition', `no context is current in ${target.file}`, {
        details: [{ remedy: '`gantry config use-context NAME` chooses one' }],
      })
    environment.stdout.write(`${current}\n`)
  },
})

const useContext = defineCommand({
  usage: 'NAME',
  summary: 'make a context the current one',
  examples: ['gantry config use-context home'],
  flags: {},
  completes: 'contexts',
  async run({ args, environment, target }) {
    const name = oneName(args)
    await changeContexts(target.file, (contexts) => {
      known(contexts.contexts, name, target.file)
      return { ...contexts, currentContext: name }
    })
    environment.stdout.write(`Switched to context "${name}".\n`)
  },
})

const setContext = defineCommand({
  usage: '(NAME | --current) [flags]',
  summary: 'make or change a context',
  examples: [
    'gantry config set-context --current --namespace=shop',
    'gantry config set-context lab --server=10.0.0.5:7443 --ca=ca.crt --cert=me.crt --key=me.key',
  ],
  flags: {
    current: { type: 'boolean', help: 'the current context' },
    ca: { type: 'text', value: 'file', help: "certificate of the cluster's authority", completes: 'file' },
    cert: { type: 'text', value: 'file', help: 'client certificate', completes: 'file' },
    key: { type: 'text', value: 'file', help: 'key of the client certificate', completes: 'file' },
    kube: {
      type: 'list',
      commas: true,
      value: 'host:port',
      help: 'where the controllers serve the Kubernetes API (default: port 6443 of the same hosts)',
    },
    'server-name': { type: 'text', value: 'name', help: "name to expect in the server's certificate" },
  },
  completes: 'contexts',
  async run({ flags, args, environment, global, target }) {
    if (flags.current === args.length > 0)
      throw new UsageError(
        flags.current ? 'give a name or --current, not both' : 'which context? Give a name or --current',
      )
    const { contexts, currentContext: current } = await readContexts(target.file)
    const name = flags.current ? current : oneName(args)
    if (name === undefined) throw new GantryError('FailedPrecondition', `no context is current in ${target.file}`)
    const before = contexts.find((context) => context.name === name)
    const server = global.server.length > 0 ? global.server : before?.server
    if (server === undefined) throw new UsageError(`context "${name}" is new: give its --server`)
    const given = {
      ca: flags.ca,
      cert: flags.cert,
      key: flags.key,
      serverName: flags['server-name'],
      namespace: global.namespace,
    }
    const kube = flags.kube.length > 0 ? flags.kube : global.server.length > 0 ? undefined : before?.kube
    const changes = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    await upsertContext(target.file, { ...before, ...changes, name, server, kube })
    environment.stdout.write(`Context "${name}" ${before === undefined ? 'created' : 'modified'}.\n`)
  },
})

const deleteContext = defineCommand({
  usage: 'NAME',
  summary: 'remove a context',
  examples: ['gantry config delete-context lab'],
  flags: {},
  completes: 'contexts',
  async run({ args, environment, target }) {
    const name = oneName(args)
    known((await readContexts(target.file)).contexts, name, target.file)
    await removeContext(target.file, name)
    environment.stdout.write(`deleted context ${name} from ${target.file}\n`)
  },
})

const view = defineCommand({
  usage: '[--raw] [--minify]',
  summary: 'show the context file',
  examples: ['gantry config view --minify'],
  flags: {
    raw: { type: 'boolean', help: 'with keys and certificates' },
    minify: { type: 'boolean', help: 'the context in use only' },
  },
  completes: 'none',
  async run({ flags, environment, global, target }) {
    const { contexts, currentContext: current } = await readContexts(target.file)
    const used = global.context ?? current
    const shown = flags.minify ? [known(contexts, used ?? '', target.file)] : contexts
    environment.stdout.write(
      await formatContexts({
        contexts: flags.raw ? shown : shown.map(masked),
        currentContext: flags.minify ? used : current,
      }),
    )
  },
})

/** Without what must not be seen over a shoulder; paths of files stay. */
function masked(context: Context): Context {
  const hide = (value: string | undefined, word: string): string | undefined =>
    value?.includes('-----BEGIN ') === true ? word : value
  return {
    ...context,
    ca: hide(context.ca, 'OMITTED'),
    cert: hide(context.cert, 'OMITTED'),
    key: hide(context.key, 'REDACTED'),
  }
}

function oneName(args: readonly string[]): string {
  if (args.length !== 1)
    throw new UsageError(
      args.length === 0 ? 'which context?' : 'one context is expected',
      '`gantry config get-contexts` lists them',
    )
  return args[0]!
}

function known(contexts: readonly Context[], name: string, file: string): Context {
  const found = contexts.find((context) => context.name === name)
  if (found !== undefined) return found
  const meant = nearest(
    name,
    contexts.map((context) => context.name),
  )
  throw new GantryError(
    'NotFound',
    `no context "${name}" in ${file}${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    { details: [{ remedy: '`gantry config get-contexts` lists them' }] },
  )
}

export default defineCommand({
  usage: '(get-contexts | current-context | use-context | set-context | delete-context | view) [flags]',
  summary: 'see and change contexts',
  description: 'Sees and changes contexts: which clusters this program knows, and which one it speaks to.',
  examples: ['gantry config get-contexts', 'gantry config use-context home'],
  flags: {},
  completes: 'none',
  subcommands: {
    'get-contexts': getContexts,
    'current-context': currentContext,
    'use-context': useContext,
    'set-context': setContext,
    'delete-context': deleteContext,
    view,
  },
})
