/** Every fault type by its word. */
import { bandwidthFault } from './bandwidth.ts'
import { clockFault } from './clock.ts'
import type { FaultType } from './contract.ts'
import { diskFault } from './disk.ts'
import { dnsFault } from './dns.ts'
import { killFault } from './kill.ts'
import { delayFault } from './latency.ts'
import { lossFault } from './loss.ts'
import { partitionFault } from './partition.ts'
import { powerOffFault } from './power-off.ts'
import { cpuFault, memoryFault } from './pressure.ts'
import { rebootFault } from './reboot.ts'
import { registryFault } from './registry.ts'
import { contFault, stopFault } from './stop.ts'

export const faultTypes: Readonly<Record<string, FaultType>> = byKind([
  killFault,
  stopFault,
  contFault,
  rebootFault,
  powerOffFault,
  partitionFault,
  lossFault,
  bandwidthFault,
  delayFault,
  registryFault,
  dnsFault,
  diskFault,
  clockFault,
  memoryFault,
  cpuFault,
])

function byKind(types: readonly FaultType[]): Record<string, FaultType> {
  return Object.fromEntries(types.map((type) => [type.kind, type]))
}
