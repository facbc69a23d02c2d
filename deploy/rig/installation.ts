/** Where this Gantry is: the checkout, or the installed package. Sources and bundles find it alike. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'

/** What only the folder that is looked for has. */
const LANDMARK = 'deploy/rig/drivers/namespaces/machine-boot'

/** The nearest folder above with Gantry's scripts. FailedPrecondition if an installation lacks them. */
export function installationRoot(): string {
  for (let directory = import.meta.dirname; ; directory = dirname(directory)) {
    if (existsSync(join(directory, LANDMARK))) return directory
    if (directory === dirname(directory))
      throw new GantryError('FailedPrecondition', `${LANDMARK} is missing from this installation`)
  }
}

/** A bundle for this process's own host; what machines run is their driver's to say. */
export function bundlePath(name: string): string {
  return join(installationRoot(), 'dist', name)
}
