/** Whether something can be made in a namespace: it must be there, and not be going. */
import { GantryError } from '../../proto/base/errors.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { Informer } from '../informer/contract.ts'
import type { ConsistentReads } from './consistent-reads.ts'

export interface NamespaceCheckParts {
  readonly informer: Pick<Informer, 'lister'>
  readonly reads: Pick<ConsistentReads, 'find'>
}

/**
 * NotFound or Forbidden. What the cache shows of a namespace that is there is enough: whoever deletes one is answered
 * only once the cache shows it.
 */
export async function requireNamespace({ informer, reads }: NamespaceCheckParts, namespace: string): Promise<void> {
  const shown = informer.lister('Namespace').get('', namespace)
  const found =
    shown !== undefined && !isDeleting(shown) ? shown : (await reads.find('Namespace', '', namespace))?.object
  if (found === undefined)
    throw new GantryError('NotFound', `namespace ${namespace} not found`, {
      details: [
        {
          field: 'metadata.namespace',
          value: namespace,
          message: 'there is no such namespace',
          remedy: `gantry create namespace ${namespace}`,
        },
      ],
    })
  if (isDeleting(found))
    throw new GantryError('Forbidden', `namespace ${namespace} is being deleted: nothing can be created in it`, {
      details: [
        {
          field: 'metadata.namespace',
          value: namespace,
          message: 'is Terminating',
          remedy: 'wait until it is gone and create it again, or use another',
        },
      ],
    })
}
