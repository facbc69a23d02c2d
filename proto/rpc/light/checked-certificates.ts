/** Certificates of servers that were checked in full, so that the next program need not do it again. */
import type { Clock } from '../../base/clock.ts'
import { readGuarded, writeGuarded } from '../../base/guarded-file.ts'

export interface CheckedCertificate {
  /** PEM text of the authorities by which it was checked, and the name that the server has in it. */
  readonly authority: string
  readonly name: string
  /** SHA-256 of the certificate, as Node.js writes it. */
  readonly digest: string
  /** Milliseconds since 1970 between which it, and every certificate up to the authority's, is in its time. */
  readonly from: number
  readonly until: number
}

/** Whoever can write to it can have any server taken for the right one: it is guarded as a key is. */
export interface CheckedCertificates {
  /** Digests of those that are right for that name by that authority, now. */
  of(authority: string, name: string): readonly string[]
  /** Remembers one, if it can; a certificate that is not remembered is checked again. */
  add(certificate: CheckedCertificate): void
}

/** Remembers nothing. */
export const noCheckedCertificates: CheckedCertificates = { of: () => [], add: () => undefined }

/** Certificates that are remembered, the newest. */
const LIMIT = 20

/**
 * In a file of the user's own, which other programs write at the same time: what one of them adds may be lost. A file
 * that somebody else could have written, or that makes no sense, is as if it were not there.
 */
export class CheckedCertificateFile implements CheckedCertificates {
  readonly #path: string
  readonly #clock: Clock

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  of(authority: string, name: string): string[] {
    const now = this.#clock.now()
    return this.#read().flatMap((known) =>
      known.authority === authority && known.name === name && known.from <= now && now < known.until
        ? [known.digest]
        : [],
    )
  }

  add(certificate: CheckedCertificate): void {
    const isOther = ({ authority, name, digest }: CheckedCertificate): boolean =>
      authority !== certificate.authority || name !== certificate.name || digest !== certificate.digest
    writeGuarded(this.#path, JSON.stringify([certificate, ...this.#read().filter(isOther)].slice(0, LIMIT)))
  }

  #read(): CheckedCertificate[] {
    const text = readGuarded(this.#path)?.toString()
    if (text === undefined) return []
    try {
      return (JSON.parse(text) as unknown[]).filter(isChecked)
    } catch {
      return [] // damaged: the next that is added makes it anew
    }
  }
}

function isChecked(value: unknown): value is CheckedCertificate {
  if (typeof value !== 'object' || value === null) return false
  const { authority, name, digest, from, until } = value as Record<string, unknown>
  return (
    [authority, name, digest].every((text) => typeof text === 'string' && text !== '') &&
    [from, until].every((time) => typeof time === 'number')
  )
}
