/** `--dry-run`: how much of a write is done. */
import { UsageError } from '../proto/client/failures.ts'

export type DryRun = 'none' | 'client' | 'server'

export const dryRunFlag = {
  type: 'text',
  value: 'where',
  bare: 'unset',
  default: 'none',
  help: 'client: check here only; server: do everything but the write',
} as const

export function parseDryRun(text: string): DryRun {
  if (text === 'none' || text === 'client' || text === 'server') return text
  throw new UsageError(
    text === 'unset' ? '--dry-run needs a value' : `--dry-run=${text} is unknown`,
    'it is client, server or none',
  )
}

/** What is added to the sentence about an object that was not really written. */
export function dryRunNote(dryRun: DryRun): string {
  switch (dryRun) {
    case 'none':
      return ''
    case 'client':
      return ' (dry run)'
    case 'server':
      return ' (server dry run)'
  }
}
