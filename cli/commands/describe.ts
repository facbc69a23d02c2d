/** `gantry describe`: everything about objects, for reading. */
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource, Kind } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { describeObject } from '../../proto/client/describe/describe.ts'
import { formatPage } from '../output/page.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import type { Selection } from '../../proto/client/cluster-options.ts'

export default defineCommand({
  usage: '(TYPE [NAME… | -l SELECTOR] | TYPE/NAME… | -f FILE) [flags]',
  summary: 'tell everything about objects',
  description:
    'Tells everything about objects: their fields, what belongs to them, and their events. A name may be only its beginning.',
  examples: ['gantry describe pod web-1', 'gantry describe node n1', 'gantry describe pods -l app=web'],
  flags: {
    ...manifestFlags,
    'all-namespaces': { type: 'boolean', short: 'A', help: 'objects of every namespace' },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'objects with these labels' },
    'show-events': { type: 'boolean', default: true, help: 'with the events' },
  },
  completes: 'kinds-and-names',
  async run({ flags, args, environment, global, target }) {
    const fromFiles = flags.filename.length > 0
    if (fromFiles && args.length > 0) throw new UsageError('give files or names, not both')
    const operands = fromFiles ? undefined : parseOperands(args, environment.kinds)
    if (operands?.are !== 'kinds' && flags.selector !== undefined)
      throw new UsageError('give names or a selector, not both')
    const cluster = await target.cluster()
    const selection = {
      namespace: flags['all-namespaces'] ? '' : await target.namespace(),
      labelSelector: flags.selector,
    }
    const failures: GantryError[] = []
    const objects: AnyResource[] = []
    if (operands?.are === 'kinds')
      for (const kind of operands.kinds) objects.push(...(await listOf(cluster, kind, selection)))
    else {
      const places =
        operands === undefined
          ? await manifestsOf({ flags, environment, global, target }, 'named')
          : operands.names.map((object) => ({ ...object, namespace: selection.namespace }))
      for (const { kind, namespace, name } of places) {
        try {
          objects.push(
            ...(fromFiles ? [await cluster.get(kind, namespace, name)] : await named(cluster, kind, namespace, name)),
          )
        } catch (thrown) {
          failures.push(GantryError.from(thrown))
        }
      }
    }
    const pages = await Promise.all(
      objects.map(async (object) =>
        formatPage(await describeObject(cluster, object, flags['show-events'], environment.clock.now())),
      ),
    )
    environment.stdout.write(pages.join('\n\n'))
    if (objects.length === 0 && failures.length === 0)
      environment.stderr.write(
        selection.namespace === ''
          ? 'No resources found\n'
          : `No resources found in ${selection.namespace} namespace.\n`,
      )
    throwFailures(failures)
    return EXIT.ok
  },
})

async function listOf(cluster: ClusterClient, kind: Kind, selection: Selection): Promise<AnyResource[]> {
  return (await cluster.list(kind, selection)).items
}

/** The object of that name, else all whose names begin so. */
async function named(cluster: ClusterClient, kind: Kind, namespace: string, name: string): Promise<AnyResource[]> {
  try {
    return [await cluster.get(kind, namespace, name)]
  } catch (thrown) {
    if (!GantryError.is(thrown, 'NotFound')) throw thrown
    const begun = (await listOf(cluster, kind, { namespace })).filter(({ metadata }) => metadata.name.startsWith(name))
    if (begun.length === 0) throw thrown
    return begun
  }
}
