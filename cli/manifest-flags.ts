/** Commands that take manifests: their flags, and what those name. */
import { UsageError } from '../proto/client/failures.ts'
import type { Manifest } from '../proto/client/manifests/manifests.ts'
import type { Invocation } from '../proto/terminal/command.ts'

/** Flags of every command that takes manifests. */
export const manifestFlags = {
  filename: {
    type: 'list',
    short: 'f',
    commas: true,
    value: 'file',
    help: 'file, directory, http(s) address, or - for standard input; may be repeated',
    completes: 'file',
  },
  recursive: { type: 'boolean', short: 'R', help: 'directories with those in them' },
} as const

/** How manifests are validated: strictly, always. */
export const validateFlag = {
  type: 'text',
  value: 'how',
  bare: 'strict',
  default: 'strict',
  help: 'strict or true; there is no other way: nothing is accepted and then ignored',
} as const

/** UsageError for what kubectl knows beside. */
export function requireValidation(how: string): void {
  if (!['strict', 'true'].includes(how))
    throw new UsageError(
      `--validate=${how}: Gantry always validates strictly`,
      'leave the flag out, and what is not known out of the manifest',
    )
}

interface ManifestInvocation extends Pick<Invocation, 'environment' | 'global' | 'target'> {
  readonly flags: { readonly filename: readonly string[]; readonly recursive: boolean }
}

/**
 * The objects of `-f`; those that name no namespace are in the command's. `twins`: whether an object that stands there
 * twice must be equal both times, or only its name counts.
 */
export async function manifestsOf(
  { flags, environment, global, target }: ManifestInvocation,
  twins: 'equal' | 'named',
): Promise<Manifest[]> {
  const { readManifests } = await import('../proto/client/manifests/manifests.ts')
  return readManifests(flags, environment, {
    namespace: { given: global.namespace, fallback: await target.namespace() },
    kinds: environment.kinds,
    cluster: () => target.cluster(),
    twins,
  })
}
