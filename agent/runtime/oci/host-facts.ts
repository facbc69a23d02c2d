/** What a container's configuration depends on of the machine and of the agent's own process. */
import { readFile } from 'node:fs/promises'
import { capabilityNames } from './capabilities.ts'
import type { Cgroups } from './cgroups.ts'
import type { HostFacts } from './config.ts'

/** Read once, when the driver starts. */
export async function hostFacts(cgroups: Cgroups, cgroupParent: string): Promise<HostFacts> {
  const [status, score, limitsSwap] = await Promise.all([
    readFile('/proc/self/status', 'utf8'),
    readFile('/proc/self/oom_score_adj', 'utf8'),
    cgroups.limitsSwap(cgroupParent),
  ])
  return {
    cgroupVersion: cgroups.layout.version,
    limitsSwap,
    capabilities: capabilityNames(/^CapPrm:\s*(\w+)$/m.exec(status)?.[1] ?? '0'),
    oomScoreAdj: Number(score),
  }
}
