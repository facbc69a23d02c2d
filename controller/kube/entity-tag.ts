/**
 * Entity tags of documents: a client that still has the document is told so instead of being sent it again (RFC 9110,
 * sections 8.8.3 and 13.1.2).
 */
import { createHash } from 'node:crypto'
import type { KubeRequest } from './contract.ts'

/** The digest of a document, in capitals as Kubernetes' clients compare it with the one that they have. */
export function digestOf(document: Uint8Array | string): string {
  return createHash('sha512').update(document).digest('hex').toUpperCase()
}

export function entityTag(document: Uint8Array | string): string {
  return `"${digestOf(document)}"`
}

/** True if the client has exactly this document. */
export function unchanged({ headers }: KubeRequest, tag: string): boolean {
  const asked = headers['if-none-match']
  return (
    asked !== undefined && asked.split(',').some((one) => one.trim().replace(/^W\//, '') === tag || one.trim() === '*')
  )
}
