/** What `gantry cp` copies: a path here, or POD:PATH or NAMESPACE/POD:PATH in a container. */
import { UsageError } from '../../proto/client/failures.ts'

export type CopyOperand =
  | { readonly at: 'local'; readonly path: string }
  | { readonly at: 'pod'; readonly namespace: string | undefined; readonly pod: string; readonly path: string }

/** A path with a colon is one here if it begins with "/" or ".". */
export function parseCopyOperand(text: string): CopyOperand {
  const at = text.indexOf(':')
  if (at < 0 || /^[./~]/.test(text)) return { at: 'local', path: text }
  const path = text.slice(at + 1)
  const [first, second, ...more] = text.slice(0, at).split('/')
  if (first === '' || second === '' || more.length > 0)
    throw new UsageError(
      `"${text}" is not POD:PATH or NAMESPACE/POD:PATH`,
      'begin a path on this machine that has a colon with ./',
    )
  if (path === '') throw new UsageError(`"${text}" has no path after the colon`)
  return second === undefined
    ? { at: 'pod', namespace: undefined, pod: first!, path }
    : { at: 'pod', namespace: first!, pod: second, path }
}
