import { resolve } from 'node:path'

/** The top of this checkout. */
export const ROOT = resolve(import.meta.dirname, '../..')
