/** Where Ingresses and Gateways are reached. */
import { ingressNodes } from '../../../proto/objects/ingress/classes.ts'
import { isConditionTrue } from '../../../proto/objects/conditions.ts'
import type { Node } from '../../../proto/gen/types.ts'

/**
 * Addresses of the ingress nodes that are ready: the external ones of a node that has any, else its internal ones.
 */
export function ingressAddresses(nodes: readonly Node[]): string[] {
  return ingressNodes(nodes)
    .filter(isReady)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ status }) => {
      const ofType = (type: string): string[] =>
        (status.addresses ?? [])
          .filter((address) => address.type === type)
          .map(({ address = '' }) => address)
          .filter((address) => address !== '')
      const external = ofType('ExternalIP')
      return external.length > 0 ? external : ofType('InternalIP')
    })
}

function isReady({ metadata, status }: Node): boolean {
  return metadata.deletionTimestamp === undefined && isConditionTrue(status.conditions, 'Ready')
}
