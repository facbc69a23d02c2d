/**
 * Which objects a command that changes some of given kinds is about: by name, by type and labels, all of a type, or
 * those of files.
 */
import type { AnyResource, Kind } from '../proto/gen/types.ts'
import { resourceOf } from '../proto/schema/schema.ts'
import { type Invocation } from '../proto/terminal/command.ts'
import { manifestFlags, manifestsOf } from './manifest-flags.ts'
import { parseNames } from '../proto/client/operands.ts'
import type { ObjectKey } from '../proto/client/object-key.ts'
import { UsageError } from '../proto/client/failures.ts'

/** Flags that choose; for commands whose operands are workloads. */
export const choiceFlags = {
  ...manifestFlags,
  selector: { type: 'text', short: 'l', value: 'selector', help: 'objects of the type with these labels' },
  all: { type: 'boolean', help: 'every object of the type in the namespace' },
} as const

interface Choice extends Pick<Invocation, 'args' | 'environment' | 'global' | 'target'> {
  readonly flags: {
    readonly filename: readonly string[]
    readonly recursive: boolean
    readonly selector: string | undefined
    readonly all?: boolean
  }
  /** Those that the command works on; a lone name is of the first. */
  readonly kinds: readonly Kind[]
  /** A type alone means all of it, as for `kubectl rollout restart deployment`. */
  readonly typeIsAll?: boolean
}

/**
 * UsageError for operands and flags that do not go together; empty if nothing is said of objects, or none is selected.
 */
export async function selectObjects({
  flags,
  args,
  environment,
  global,
  target,
  kinds,
  typeIsAll = false,
}: Choice): Promise<readonly ObjectKey[]> {
  if (flags.filename.length > 0) {
    if (args.length > 0) throw new UsageError('give files or names, not both')
    const manifests = await manifestsOf({ flags, environment, global, target }, 'named')
    const chosen = manifests.filter(({ kind }) => kinds.includes(kind))
    if (chosen.length === 0)
      throw new UsageError(
        `${flags.filename.join(', ')}: no object there is a ${new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(kinds)}`,
      )
    return chosen
  }
  const type = args.length === 1 && !args[0]!.includes('/') ? environment.kinds.findWord(args[0]!) : undefined
  const selected = flags.all === true || flags.selector !== undefined
  const namespace = await target.namespace()
  if (!selected && !(typeIsAll && type !== undefined))
    return parseNames(args, kinds, environment.kinds).map((name) => ({
      ...name,
      namespace: resourceOf(name.kind).namespaced ? namespace : '',
    }))
  const kind = type === undefined ? undefined : environment.kinds.ofResource(type)
  if (kind === undefined || !kinds.includes(kind))
    throw new UsageError(
      selected
        ? `-l and --all select objects of one type: ${kinds.map((one) => resourceOf(one).plural).join(', ')}`
        : `this works on ${new Intl.ListFormat('en-GB').format(kinds.map((one) => `${one}s`))} only`,
    )
  const { items } = await (await target.cluster()).list(kind, { namespace, labelSelector: flags.selector })
  return (items as readonly AnyResource[]).map(({ metadata }) => ({
    kind,
    namespace: metadata.namespace,
    name: metadata.name,
  }))
}
