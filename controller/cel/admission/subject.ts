/**
 * What expressions of webhooks and policies know of a request. Whoever evaluates them hands it in (controller/admission
 * makes it of a request's attributes).
 */
import type { ResourceSchema } from '../../../proto/schema/model.ts'
import type { AdmissionRequest, JsonObject } from '../../../proto/gen/types.ts'
import type { User } from '../../api/contract.ts'

export interface ExpressionSubject {
  readonly user: User
  readonly attributes: { readonly namespace: string }
  readonly matchAttributes: {
    readonly resource: Pick<ResourceSchema, 'group' | 'plural'>
    readonly subresource: string
    readonly name: string
  }
  /** As it is to be, in that version; null for DELETE. */
  object(version: string): JsonObject | null
  /** As it is stored, in that version; null for CREATE and CONNECT. */
  oldObject(version: string): JsonObject | null
  /** But for its uid and the objects. */
  request(version: string): Omit<AdmissionRequest, 'uid' | 'object' | 'oldObject'>
}
