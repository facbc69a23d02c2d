import type { Plugins } from '../framework.ts'
import { nodeName } from './node-name.ts'
import { nodePorts } from './node-ports.ts'
import { nodeReady } from './node-ready.ts'
import { nodeSelector } from './node-selector.ts'
import { balanced, leastAllocated, resources } from './resources.ts'
import { spread } from './spread.ts'
import { taints } from './taints.ts'
import { unschedulable } from './unschedulable.ts'

/** What the scheduler asks, in this order. */
export const allPlugins: Plugins = {
  filters: [nodeReady, unschedulable, nodeName, nodeSelector, taints, nodePorts, resources, spread],
  scores: [leastAllocated, balanced, taints, spread],
  reserves: [],
}
