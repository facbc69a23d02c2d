/** `gantry create`: makes objects that must not exist yet, from manifests or from flags. */
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { WriteFlags } from '../../proto/client/cluster-options.ts'
import { awaitEstablished, isUnknownKind, kindDefinedBy } from '../../proto/client/custom-kinds.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { atManifest, rankOf, selectManifests } from '../../proto/client/manifests/manifests.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { parseDryRun } from '../dry-run.ts'
import { manifestFlags, manifestsOf, requireValidation, validateFlag } from '../manifest-flags.ts'
import { parseFormat } from '../output/format.ts'
import { generators } from './create-generators.ts'
import { tellCreated, writeFlags } from './create-output.ts'

export default defineCommand({
  usage:
    '(-f FILE | deployment NAME | namespace NAME | configmap NAME | secret generic NAME | service TYPE NAME | ingress NAME | serviceaccount NAME) [flags]',
  summary: 'create objects, or fail if they exist',
  description: 'Creates objects that must not exist yet. With several, all are checked before the first is created.',
  examples: [
    'gantry create -f pod.yaml',
    'gantry create deployment web --image=nginx',
    'gantry create namespace shop',
    'gantry create configmap web --from-literal=color=blue',
  ],
  flags: {
    ...manifestFlags,
    ...writeFlags,
    selector: { type: 'text', short: 'l', value: 'selector', help: 'only objects with these labels' },
    validate: validateFlag,
  },
  completes: 'none',
  subcommands: generators,
  async run({ flags, args, environment, global, target }) {
    if (args.length > 0)
      throw new UsageError(
        `"${args[0]}" cannot be created from flags`,
        'write a manifest and give it with -f; deployment, namespace, configmap, secret, service, ingress and serviceaccount need none',
      )
    if (flags.filename.length === 0)
      throw new UsageError(
        'what? Say -f FILE, or deployment, namespace, configmap, secret, service, ingress or serviceaccount with a name',
      )
    const dryRun = parseDryRun(flags['dry-run'])
    const format = parseFormat(flags.output)
    requireValidation(flags.validate)
    const manifests = selectManifests(
      await manifestsOf({ flags, environment, global, target }, 'equal'),
      flags.selector,
    )
    const drafts = manifests.map((manifest) => {
      const { object } = manifest.document
      return {
        manifest,
        object: { ...object, metadata: { ...object.metadata, namespace: manifest.namespace } } as AnyResource,
      }
    })
    const made = new Set(manifests.filter(({ kind }) => kind === 'Namespace').map(({ name }) => name))
    const defined = new Set(
      manifests.flatMap(({ kind, name }) =>
        kind === 'CustomResourceDefinition' ? (kindDefinedBy(name, environment.kinds) ?? []) : [],
      ),
    )
    const cluster = await target.cluster()
    const createAll = async (write: WriteFlags): Promise<AnyResource[]> => {
      const failures: GantryError[] = []
      const objects: AnyResource[] = []
      for (const some of inOrder(drafts, write.dryRun === true)) {
        if (objects.length > 0)
          await awaitEstablished(
            cluster,
            objects.filter(({ kind }) => kind === 'CustomResourceDefinition').map(({ metadata }) => metadata.name),
          )
        const answers = await mapConcurrently(some, ({ object }) => Promise.allSettled([cluster.create(object, write)]))
        answers.forEach(([answer], index) => {
          const { manifest, object } = some[index]!
          if (answer.status === 'fulfilled') objects.push(answer.value)
          else if (write.dryRun === true && made.has(manifest.namespace) && GantryError.is(answer.reason, 'NotFound'))
            objects.push(object)
          else if (write.dryRun === true && defined.has(manifest.kind) && isUnknownKind(answer.reason))
            objects.push(object)
          else failures.push(atManifest(manifest, answer.reason))
        })
      }
      throwFailures(failures)
      return objects
    }
    const options = { fieldManager: flags['field-manager'] }
    const tried =
      dryRun === 'client' ? drafts.map(({ object }) => object) : await createAll({ ...options, dryRun: true })
    await tellCreated(environment, format, dryRun === 'none' ? await createAll(options) : tried, dryRun)
    return EXIT.ok
  },
})

/**
 * A namespace must exist before what is in it, and a definition before objects of its kind; tried without writing, the
 * order does not matter.
 */
function inOrder<T extends { object: AnyResource }>(drafts: readonly T[], dryRun: boolean): (readonly T[])[] {
  if (dryRun) return [drafts]
  const isFirst = ({ object }: T): boolean => rankOf(object.kind) === 0
  return [drafts.filter(isFirst), drafts.filter((draft) => !isFirst(draft))].filter((part) => part.length > 0)
}
