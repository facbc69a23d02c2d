/** The ways to make machines. */
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import type { Driver, DriverName } from '../contract.ts'

/** Loaded when they are used: each brings libraries of its own. */
const DRIVERS: Readonly<Partial<Record<DriverName, () => Promise<Driver>>>> = {
  namespaces: async () => (await import('./namespaces/driver.ts')).NamespacesDriver.open(),
  docker: async () => (await import('./docker/driver.ts')).DockerDriver.open(),
}

export const driverNames = Object.keys(DRIVERS) as readonly DriverName[]

/**
 * A driver that knows what this host can do. InvalidArgument for a name that none has; FailedPrecondition for what the
 * host lacks altogether.
 */
export async function openDriver(name: string): Promise<Driver> {
  const open = DRIVERS[name as DriverName]
  if (open !== undefined) return open()
  const meant = nearest(name, driverNames)
  throw new GantryError(
    'InvalidArgument',
    `there is no driver "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    { details: [{ field: 'driver', value: name, remedy: `drivers: ${driverNames.join(', ')}` }] },
  )
}
