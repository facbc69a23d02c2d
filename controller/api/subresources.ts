/** The parts of an object that subresources write, as the strategies of kinds say. */
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { Kind, Resources } from '../../proto/gen/types.ts'
import type { Kinds } from '../kinds/kinds.ts'
import type { ObjectSubresource, WriteSubresource } from './contract.ts'

/**
 * The stored object with the part of the wanted one that the subresource writes; the wanted one itself for subresources
 * that write a whole section. InvalidArgument for a kind without the subresource.
 */
export function mergeSubresource<K extends Kind>(
  kinds: Kinds,
  wanted: Resources[K],
  stored: Resources[K],
  subresource: WriteSubresource,
): Resources[K] {
  switch (subresource) {
    case '':
    case 'status':
    case 'scale':
      return wanted
    case 'finalize':
    case 'ephemeralcontainers':
    case 'resize': {
      const strategy = kinds.of(stored.kind as K).subresources?.[subresource]
      if (strategy === undefined) throw noSubresource(kinds, stored.kind, subresource)
      return strategy.merge(wanted, stored)
    }
  }
}

function noSubresource(kinds: Kinds, kind: Kind, subresource: ObjectSubresource): GantryError {
  const having = kinds.all().filter(([, strategy]) => strategy.subresources?.[subresource] !== undefined)
  return new GantryError('InvalidArgument', `a ${kind} has no subresource ${subresource}`, {
    details: [
      {
        field: 'subresource',
        value: subresource,
        message: `is one of ${having.map(([other]) => resourceOf(other).plural).join(' and ')}`,
      },
    ],
  })
}
