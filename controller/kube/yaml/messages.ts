/** What the thread that reads YAML is told, and what it answers. */
import type { Problem } from '../../../proto/base/problem.ts'
import type { ErrorCode } from '../../../proto/base/errors.ts'

export interface YamlRequest {
  readonly text: string
}

export type YamlReply =
  /** The value as the text of JSON: the main thread parses that faster than it would copy objects. */
  | { readonly is: 'read'; readonly json: string; readonly problems: readonly Problem[] }
  | {
      readonly is: 'refused'
      readonly status: number
      readonly reason: string
      readonly message: string
      readonly code: ErrorCode
    }
