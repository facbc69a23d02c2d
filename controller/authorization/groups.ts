/** The organisations that certificates of the cluster's CA carry: people and tools, agents, and controllers. */
export const MASTERS = 'system:masters'
export const NODES = 'system:nodes'
export const CONTROLLERS = 'system:controllers'

/** Another controller, by its certificate. */
export function isController({ groups }: { readonly groups: readonly string[] }): boolean {
  return groups.includes(CONTROLLERS)
}
