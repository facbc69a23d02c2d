/** What every form of `gantry create` has: the flags of its writes, and what it tells of what it has made. */
import type { AnyResource } from '../../proto/gen/types.ts'
import { FIELD_MANAGER } from '../../proto/client/cluster-options.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { dryRunFlag, dryRunNote, type DryRun } from '../dry-run.ts'
import { formatObjects, OUTPUT_HELP, type Format } from '../output/format.ts'

export const writeFlags = {
  'dry-run': dryRunFlag,
  output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  'field-manager': { type: 'text', value: 'name', default: FIELD_MANAGER, help: 'owner of the fields' },
} as const

export async function tellCreated(
  environment: Environment,
  format: Format,
  objects: readonly AnyResource[],
  dryRun: DryRun,
): Promise<void> {
  if (format.is !== 'table')
    return void environment.stdout.write(await formatObjects(format, objects, objects.length === 1))
  environment.stdout.write(
    objects.map(({ kind, metadata }) => `${kindWord(kind)}/${metadata.name} created${dryRunNote(dryRun)}\n`).join(''),
  )
}
