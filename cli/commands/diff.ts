/** `gantry diff`: what `apply` would change. */
import { FIELD_MANAGER } from '../../proto/client/cluster-options.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { selectManifests } from '../../proto/client/manifests/manifests.ts'
import { diffStep } from '../object-diff.ts'
import { planApply } from '../../proto/client/manifests/apply-plan.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'

export default defineCommand({
  usage: '-f FILE [-f FILE…] [flags]',
  summary: 'show what apply would change',
  description:
    'Shows what apply would change, as the server works it out. Exit code 0: nothing changes; 1: something does, or a manifest is refused.',
  examples: ['gantry diff -f web.yaml', 'gantry diff -f manifests/ -R'],
  flags: {
    ...manifestFlags,
    set: { type: 'text', value: 'name', help: 'as apply --set' },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'only objects with these labels' },
    'force-conflicts': { type: 'boolean', help: 'as apply --force-conflicts' },
    'server-side': { type: 'boolean', default: true, help: 'merge on the server; there is no other way' },
    'field-manager': { type: 'text', value: 'name', default: FIELD_MANAGER, help: 'owner of the fields applied' },
  },
  completes: 'none',
  async run({ flags, environment, global, target }) {
    const manifests = selectManifests(
      await manifestsOf({ flags, environment, global, target }, 'equal'),
      flags.selector,
    )
    const cluster = await target.cluster()
    const steps = await planApply(cluster, manifests, {
      fieldManager: flags['field-manager'],
      force: flags['force-conflicts'],
      set: flags.set,
    })
    const texts = await Promise.all(steps.map((step) => diffStep(cluster, step, environment)))
    environment.stdout.write(texts.join(''))
    return texts.some((text) => text !== '') ? EXIT.refused : EXIT.ok
  },
})
