/** What CustomResourceDefinitions there are, for those who tell what is served: it is no secret to who is known. */
import type { CustomResourceDefinition } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'

export class CustomDefinitions {
  readonly #informer: Pick<Informer, 'lister' | 'on' | 'onBatch'>

  constructor(informer: Pick<Informer, 'lister' | 'on' | 'onBatch'>) {
    this.#informer = informer
  }

  list(): readonly CustomResourceDefinition[] {
    return this.#informer.lister('CustomResourceDefinition').list()
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
