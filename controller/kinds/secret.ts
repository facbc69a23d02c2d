/** Secrets: plain text is written as `stringData` and stored as data. */
import { applyDefaults } from '../../proto/codec/defaults.ts'
import { copyObject } from '../../proto/codec/copy.ts'
import type { Strategy } from './strategy.ts'

export const secretStrategy: Strategy<'Secret'> = {
  /** An apply owns the data that the text becomes; the text itself is not kept. */
  prepareConfiguration(secret) {
    if (secret.stringData === undefined) return
    secret.data = applyDefaults(copyObject(secret)).data
    delete secret.stringData
  },
}
