/**
 * A pod's resolver settings. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-dns-config
 */
import type { PodSpec } from '../gen/types.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import type { Report } from './report.ts'

/** What resolv.conf(5) takes; of domains, what newer C libraries do. */
export const NAMESERVER_LIMIT = 3
export const SEARCH_LIMIT = 32
/** Characters of all search domains with the blanks between. */
export const SEARCH_LENGTH_LIMIT = 2048

const DOMAIN = /^(\.|(?=.{1,254}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?)$/
/** Blanks would begin another option, a line's end another line. */
const OPTION = /^[^\s:]+$/

export function validateDns(
  report: Report,
  path: string,
  { dnsPolicy, dnsConfig, setHostnameAsFQDN, hostNetwork }: PodSpec,
): void {
  if (setHostnameAsFQDN === true && hostNetwork === true)
    report.refused(
      fieldPath(path, 'setHostnameAsFQDN'),
      "cannot stand beside hostNetwork: the host name is the node's then",
      'keep one of the two',
    )
  const at = fieldPath(path, 'dnsConfig')
  const { nameservers = [], searches = [], options = [] } = dnsConfig ?? {}
  if (dnsPolicy === 'None' && nameservers.length === 0)
    report.missing(
      dnsConfig === undefined ? at : fieldPath(at, 'nameservers'),
      'with dnsPolicy None, name at least one nameserver in it',
    )
  if (nameservers.length > NAMESERVER_LIMIT)
    report.wrong(fieldPath(at, 'nameservers'), nameservers.length, 'are too many', `give ${NAMESERVER_LIMIT} at most`)
  if (searches.length > SEARCH_LIMIT)
    report.wrong(fieldPath(at, 'searches'), searches.length, 'are too many', `give ${SEARCH_LIMIT} at most`)
  else if (searches.join(' ').length > SEARCH_LENGTH_LIMIT)
    report.wrong(
      fieldPath(at, 'searches'),
      searches.join(' ').length,
      'characters are too many',
      `give ${SEARCH_LENGTH_LIMIT} at most`,
    )
  searches.forEach((domain, index) => {
    if (!DOMAIN.test(domain))
      report.wrong(
        entryPath(fieldPath(at, 'searches'), index),
        domain,
        'is not a domain',
        'use labels of lower case letters, digits, "-" and "_" with dots between, as in db.example.com',
      )
  })
  options.forEach(({ name = '', value }, index) => {
    const option = entryPath(fieldPath(at, 'options'), index)
    if (name !== '' && !OPTION.test(name))
      report.wrong(fieldPath(option, 'name'), name, 'is not an option', 'write it without blanks and ":", as in ndots')
    if (value !== undefined && !/^\S*$/.test(value))
      report.wrong(fieldPath(option, 'value'), value, 'contains a blank', 'leave it out')
  })
}
