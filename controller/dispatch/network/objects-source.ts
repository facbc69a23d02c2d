/** Objects of one kind, told to every node as they are stored. */
import { apiVersionOf, resourceOf } from '../../../proto/schema/schema.ts'
import { withResourceVersion } from '../../../proto/codec/wire.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { CachedObject, Informer } from '../../informer/contract.ts'
import type { EntryContent, EntrySink, NetworkSource } from './contract.ts'

export class ObjectsSource<K extends Kind> implements NetworkSource {
  readonly name: string
  readonly #kind: K

  constructor(kind: K) {
    this.name = kind
    this.#kind = kind
  }

  start(informer: Informer, sink: EntrySink): () => void {
    return informer.on(this.#kind, ({ type, cached }) => {
      sink.all(
        objectKey(this.#kind, cached),
        String(cached.revision),
        type === 'deleted' ? undefined : () => objectContent(this.#kind, cached),
      )
    })
  }
}

/** "KIND/NAMESPACE/NAME". */
export function objectKey(
  kind: Kind,
  {
    object: {
      metadata: { namespace, name },
    },
  }: CachedObject,
): string {
  return `${kind}/${namespace}/${name}`
}

export function objectContent(kind: Kind, { bytes, revision }: CachedObject): EntryContent {
  return {
    case: 'object',
    value: { apiVersion: apiVersionOf(resourceOf(kind)), kind, raw: withResourceVersion(bytes, String(revision)) },
  }
}
