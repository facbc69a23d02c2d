/** What CustomResourceDefinitions define, for those who tell what is served: it is no secret to who is known. */
import type { CustomKind } from '../../proto/schema/custom/definitions.ts'
import type { Informer } from '../informer/contract.ts'

export class CustomDefinitions {
  readonly #informer: Pick<Informer, 'kinds' | 'lister' | 'on' | 'onBatch'>

  constructor(informer: Pick<Informer, 'kinds' | 'lister' | 'on' | 'onBatch'>) {
    this.#informer = informer
  }

  /** The kinds that they define. */
  kinds(): readonly CustomKind[] {
    const { kinds } = this.#informer
    return this.#informer
      .lister('CustomResourceDefinition')
      .list()
      .flatMap((definition) => kinds.kindOf(definition) ?? [])
  }

  /** Calls after each batch of changes in which a definition has changed; also, first, at once. */
  onChange(listener: () => void): void {
    let changed = true
    const tell = (): void => {
      if (!changed) return
      changed = false
      listener()
    }
    this.#informer.on('CustomResourceDefinition', () => void (changed = true))
    this.#informer.onBatch(tell)
    tell()
  }
}
