/** Texts that become a word of a file that programs read line by line, or a part of a path. */
import { GantryError } from '../../proto/base/errors.ts'

/**
 * One word of a line, as in hosts(5) and resolv.conf(5): InvalidArgument for what is empty, has white space, or begins
 * a comment.
 */
export function checkedLineWord(text: string): string {
  if (!/^[^\s\p{Cc}\p{Z}#;][^\s\p{Cc}\p{Z}#]*$/u.test(text)) throw refused(text, 'cannot stand in a line')
  return text
}

/** The name of one file or folder below another: InvalidArgument for what would lead elsewhere. */
export function checkedPathSegment(text: string): string {
  if (text === '' || text === '.' || text === '..' || /[/\0]/.test(text)) throw refused(text, 'cannot name a file')
  return text
}

function refused(text: string, why: string): GantryError {
  return new GantryError('InvalidArgument', `${JSON.stringify(text.slice(0, 120))} ${why}`)
}
