/** `gantry set`: single settings of the containers of workloads and pods. */
import { GantryError } from '../../proto/base/errors.ts'
import { nearest } from '../../proto/base/nearest.ts'
import { kindsWith, recordOf } from '../../proto/client/kinds/registry.ts'
import type { AnyResource, Container, JsonObject, PodSpec } from '../../proto/gen/types.ts'
import { selectObjects, choiceFlags } from '../object-selection.ts'
import { defineCommand, type Command } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import type { Flags, FlagValues } from '../../proto/terminal/flags.ts'
import { kindWord } from '../../proto/client/kind-words.ts'

/** Per container what is to be merged into it (strategic merge, the key is the name); empty for one that stays. */
type Change = (container: Container, holder: AnyResource) => JsonObject

interface Setter<F extends Flags> {
  readonly usage: string
  readonly summary: string
  readonly examples: readonly string[]
  readonly flags: F
  /** The word before "updated". */
  readonly what: string
  /** Tells what is asked of containers from what objects are named by. */
  readonly isSetting: (operand: string) => boolean
  /** What the settings ask of each container; throws UsageError for what cannot be read. */
  readonly read: (settings: readonly string[], flags: FlagValues<F>) => Change
}

function setter<const F extends Flags>({ what, isSetting, read, ...definition }: Setter<F>): Command {
  return defineCommand({
    ...definition,
    flags: { ...choiceFlags, ...definition.flags, 'dry-run': dryRunFlag },
    completes: 'workloads',
    async run({ flags, args, environment, global, target }) {
      const chosen = flags as unknown as FlagValues<typeof choiceFlags>
      const operands = args.filter((arg) => !isSetting(arg))
      if (operands.length === 0 && chosen.filename.length === 0)
        throw new UsageError('of which workload or pod? Say TYPE/NAME, such as deploy/web')
      const change = read(args.filter(isSetting), flags as unknown as FlagValues<F>)
      const dryRun = parseDryRun((flags as unknown as { 'dry-run': string })['dry-run'])
      const names = await selectObjects({
        flags: chosen,
        args: operands,
        environment,
        global,
        target,
        kinds: kindsWith(({ podSpec }) => podSpec !== undefined, environment.kinds),
      })
      const cluster = await target.cluster()
      const answers = await Promise.allSettled(
        names.map(async ({ kind, namespace, name }) => {
          const holder = (await cluster.get(kind, namespace, name)) as AnyResource
          const patch = podSpecPatch(holder, change)
          if (patch !== undefined && dryRun !== 'client')
            await cluster.patch(kind, namespace, name, 'STRATEGIC', patch, { dryRun: dryRun === 'server' })
          environment.stdout.write(
            `${kindWord(kind)}/${name} ${patch === undefined ? `${what} unchanged` : `${what} updated`}${dryRunNote(dryRun)}\n`,
          )
        }),
      )
      throwFailures(
        answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])),
      )
      return EXIT.ok
    },
  })
}

function podSpecOf(holder: AnyResource): PodSpec {
  return recordOf(holder.kind).podSpec!.of(holder)
}

/** Undefined if nothing changes. */
function podSpecPatch(holder: AnyResource, change: Change): JsonObject | undefined {
  const lists = Object.entries({
    containers: podSpecOf(holder).containers,
    initContainers: podSpecOf(holder).initContainers ?? [],
  }).flatMap(([list, containers]) => {
    const changed = containers
      .map((container): JsonObject => ({ name: container.name, ...change(container, holder) }))
      .filter((entry) => Object.keys(entry).length > 1)
    return changed.length === 0 ? [] : [[list, changed] as const]
  })
  if (lists.length === 0) return undefined
  const spec = Object.fromEntries(lists)
  const { path } = recordOf(holder.kind).podSpec!
  return path.reduceRight((inner: JsonObject, field): JsonObject => ({ [field]: inner }), spec)
}

/** Fails for a name that no container of the object has. */
function mustHave(holder: AnyResource, name: string): void {
  const { containers, initContainers = [] } = podSpecOf(holder)
  const names = [...containers, ...initContainers].map((container) => container.name)
  if (names.includes(name)) return
  const meant = nearest(name, names)
  throw new GantryError(
    'InvalidArgument',
    `${kindWord(holder.kind)}/${holder.metadata.name} has no container "${name}"${meant === undefined ? `; it has ${names.join(', ')}` : `; did you mean "${meant}"?`}`,
  )
}

/** The change in one container, or in all without a name. */
function within(only: string | undefined, change: Change): Change {
  return (container, holder) => {
    if (only !== undefined) mustHave(holder, only)
    return only === undefined || container.name === only ? change(container, holder) : {}
  }
}

function isAssignment(operand: string): boolean {
  return /^[^=/]+=/.test(operand)
}

/** "KEY=VALUE" by its key. */
function assignment(text: string): [string, string] {
  const at = text.indexOf('=')
  return [text.slice(0, at), text.slice(at + 1)]
}

const image = setter({
  usage: '(TYPE NAME | TYPE/NAME…) CONTAINER=IMAGE… [flags]',
  summary: 'set the images of containers',
  examples: [
    'gantry set image deploy/web web=nginx:1.29',
    "gantry set image deploy/web '*=registry.example.com/web:2'",
  ],
  flags: {},
  what: 'image',
  isSetting: isAssignment,
  read(settings) {
    if (settings.length === 0)
      throw new UsageError('which image? Say CONTAINER=IMAGE', 'the container "*" is every one')
    const images = new Map(settings.map(assignment))
    for (const [container, wanted] of images)
      if (wanted === '') throw new UsageError(`${container}=: the image is missing`)
    return (container, holder): JsonObject => {
      for (const name of images.keys()) if (name !== '*') mustHave(holder, name)
      const wanted = images.get(container.name) ?? images.get('*')
      return wanted === undefined || wanted === container.image ? {} : { image: wanted }
    }
  },
})

const env = setter({
  usage: '(TYPE NAME | TYPE/NAME…) NAME=VALUE… NAME-… [flags]',
  summary: 'set or remove environment variables of containers',
  examples: ['gantry set env deploy/web COLOR=blue DEBUG-', 'gantry set env deploy/web -c web COLOR=blue'],
  flags: { container: { type: 'text', short: 'c', value: 'name', help: 'of this container only' } },
  what: 'env',
  isSetting: (operand) => isAssignment(operand) || /^[A-Za-z_][A-Za-z0-9_.]*-$/.test(operand),
  read(settings, { container: only }) {
    if (settings.length === 0)
      throw new UsageError('which variables? Say NAME=VALUE to set one, NAME- to take one away')
    const variables = settings.map((text): [string, string | undefined] =>
      text.includes('=') ? assignment(text) : [text.slice(0, -1), undefined],
    )
    return within(only, (container): JsonObject => {
      const entries = variables.flatMap(([name, value]): JsonObject[] => {
        const present = container.env?.find((entry) => entry.name === name)
        if (value === undefined) return present === undefined ? [] : [{ name, $patch: 'delete' }]
        return present !== undefined && present.valueFrom === undefined && (present.value ?? '') === value
          ? []
          : [{ name, value, ...(present?.valueFrom === undefined ? {} : { valueFrom: null }) }]
      })
      return entries.length === 0 ? {} : { env: entries }
    })
  },
})

const resources = setter({
  usage: '(TYPE NAME | TYPE/NAME…) [--limits=NAME=AMOUNT,…] [--requests=NAME=AMOUNT,…] [flags]',
  summary: 'set what containers are given and may use',
  examples: ['gantry set resources deploy/web --limits=cpu=500m,memory=256Mi --requests=cpu=100m'],
  flags: {
    limits: { type: 'list', commas: true, value: 'name=amount', help: 'what they may use at most' },
    requests: { type: 'list', commas: true, value: 'name=amount', help: 'what is kept for them' },
    container: { type: 'text', short: 'c', value: 'name', help: 'of this container only' },
  },
  what: 'resource requirements',
  isSetting: () => false,
  read(_, { limits, requests, container: only }) {
    if (limits.length + requests.length === 0)
      throw new UsageError(
        'which resources? Say --limits=NAME=AMOUNT or --requests=NAME=AMOUNT, such as --limits=cpu=500m,memory=256Mi',
      )
    const bad = [...limits, ...requests].find((text) => !/^[^=]+=.+$/.test(text))
    if (bad !== undefined) throw new UsageError(`"${bad}" is not NAME=AMOUNT, such as memory=256Mi`)
    const wanted = {
      limits: Object.fromEntries(limits.map(assignment)),
      requests: Object.fromEntries(requests.map(assignment)),
    }
    return within(only, ({ resources: present }): JsonObject => {
      const changes = (['limits', 'requests'] as const).some((part) =>
        Object.entries(wanted[part]).some(([name, amount]) => present?.[part]?.[name] !== amount),
      )
      return changes ? { resources: wanted } : {}
    })
  },
})

export default defineCommand({
  usage: '(image | env | resources) (TYPE NAME | TYPE/NAME…) … [flags]',
  summary: 'set images, variables and resources of containers',
  examples: [
    'gantry set image deploy/web web=nginx:1.29',
    'gantry set env deploy/web COLOR=blue',
    'gantry set resources deploy/web --limits=memory=256Mi',
  ],
  flags: {},
  completes: 'none',
  subcommands: { image, env, resources },
})
