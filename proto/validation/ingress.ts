/** Ingress and IngressClass. https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/ */
import { isIP } from 'node:net'
import type { Ingress, IngressBackend } from '../gen/types.ts'
import { formats } from '../base/format.ts'
import { entryPath } from '../base/path.ts'
import { validateIngressPoints } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import { exactlyOne, type Report } from './report.ts'

export const ingressRules: KindRules<'Ingress'> = {
  object: validateIngress,
  status: (report, { status }) => validateIngressPoints(report, status.loadBalancer?.ingress ?? []),
}

function validateIngress(report: Report, { spec }: Ingress): void {
  const { defaultBackend, rules = [], tls = [] } = spec
  if (defaultBackend === undefined && rules.length === 0)
    report.refused('spec', 'has neither rules nor a defaultBackend', 'give one of the two', 'FieldValueInvalid')
  if (defaultBackend !== undefined) validateBackend(report, 'spec.defaultBackend', defaultBackend)
  tls.forEach(({ hosts = [] }, index) =>
    hosts.forEach((host, place) =>
      validateHostname(report, entryPath(`${entryPath('spec.tls', index)}.hosts`, place), host),
    ),
  )
  rules.forEach(({ host, http }, index) => {
    const at = entryPath('spec.rules', index)
    if (host !== undefined && host !== '') validateHostname(report, `${at}.host`, host)
    http?.paths.forEach(({ path, pathType, backend }, place) => {
      const here = entryPath(`${at}.http.paths`, place)
      if (path === undefined || path === '') {
        if (pathType !== 'ImplementationSpecific')
          report.wrong(
            `${here}.path`,
            path ?? '',
            'is not an absolute path',
            `with pathType ${pathType} it must begin with "/"`,
          )
      } else validatePath(report, `${here}.path`, path)
      if (backend !== undefined) validateBackend(report, `${here}.backend`, backend)
    })
  })
}

function validateBackend(report: Report, path: string, { service }: IngressBackend): void {
  if (service === undefined)
    return report.refused(path, 'has no service', 'name the Service that requests go to', 'FieldValueInvalid')
  if (service.port !== undefined)
    exactlyOne(report, path, service.port, ['name', 'number'], { many: 'FieldValueInvalid' })
}

/** A DNS name, or one whose first label is "*". */
export function validateHostname(report: Report, path: string, host: string): void {
  if (isIP(host) !== 0)
    return report.wrong(path, host, 'is an address', 'give a DNS name; requests by address are those of no host')
  const name = host.startsWith('*.') ? host.slice(2) : host
  if (name.includes('*'))
    return report.wrong(
      path,
      host,
      'has a "*" in the wrong place',
      'only the whole first label may be "*", as in *.example.com',
    )
  const flaw = formats.dnsSubdomain(name)
  if (flaw !== undefined) report.wrong(path, host, flaw.message, flaw.remedy)
}

/** The parts of a path that upstream refuses, and what no request line can hold. */
const UNSAFE_PATH_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F', '#']

/** A path as requests have it: absolute, without query, fragment, white space or parts that lead upwards. */
export function validatePath(report: Report, path: string, value: string): void {
  if (!value.startsWith('/')) return report.wrong(path, value, 'is not an absolute path', 'begin it with "/"')
  const odd =
    UNSAFE_PATH_SEQUENCES.find((part) => value.includes(part)) ?? ['/..', '/.'].find((end) => value.endsWith(end))
  if (odd !== undefined) report.wrong(path, value, `contains "${odd}"`, 'write the path that clients send, without it')
  else if (!/^[\x21-\x7e]+$/.test(value))
    report.wrong(path, value, 'has characters that no request has', 'write them percent-encoded, such as %20')
  else if (value.includes('?')) report.wrong(path, value, 'contains "?"', 'the query is no part of the path')
}

/** One line of visible text, as a header's value. RFC 9110, 5.5. */
export function validateHeaderValue(report: Report, path: string, value: string): void {
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value))
    report.wrong(path, value, 'has control characters', 'give one line of text')
  else if (value.length > 4096)
    report.refused(path, `has ${value.length} characters, at most 4096 are allowed`, 'shorten it', 'FieldValueTooLong')
}

export function validateHeaderName(report: Report, path: string, name: string): void {
  if (!/^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/.test(name))
    report.wrong(path, name, 'is not a name of a header', 'use letters, digits and "-" (RFC 9110, 5.6.2)')
}

/** No more than so many items. */
export function atMost(report: Report, path: string, list: readonly unknown[] | undefined, most: number): void {
  if (list !== undefined && list.length > most)
    report.refused(
      path,
      `has ${list.length} items, at most ${most} are allowed`,
      'divide the object',
      'FieldValueTooMany',
    )
}
