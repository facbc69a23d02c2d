/**
 * Lists of kinds that Kubernetes has and Gantry has not, for programs that ask for all that a cluster runs without
 * looking at discovery first, as `kubectl cluster-info dump` does: there are no such objects, which is what an empty
 * list says. Discovery does not name them, and nothing can be made.
 */
import { apiVersionOf, resources } from '../../../proto/schema/schema.ts'
import { servedVirtual } from '../catalog.ts'
import type { VirtualResource } from '../contract.ts'

const ASKED_FOR = [
  { group: 'apps', version: 'v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true, shortNames: [] },
]

export function absentKinds(): VirtualResource[] {
  const absent = ASKED_FOR.filter(
    ({ group, plural }) => !resources.some((known) => known.group === group && known.plural === plural),
  )
  return absent.map((schema) => {
    const resource = servedVirtual(schema, ['list'])
    return {
      resource,
      unlisted: true,
      verbs: {
        list: async ({ authorized: { backends } }) => ({
          is: 'list',
          apiVersion: apiVersionOf(resource),
          kind: resource.listKind,
          metadata: { resourceVersion: String(backends.informer.revision) },
          items: [],
        }),
      },
    }
  })
}
