/** What a resolv.conf(5) says. */
import { isIP } from 'node:net'

export interface ResolvConf {
  readonly nameservers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
}

export const RESOLV_CONF = '/etc/resolv.conf'

/**
 * resolv.conf(5): the last of "search" and "domain" counts. A line that means nothing is passed over, as C libraries
 * do.
 */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = []
  let search: string[] = []
  const options: string[] = []
  for (const line of text.split('\n')) {
    const [word, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (word === 'nameserver' && isIP(values[0]?.split('%')[0] ?? '') !== 0) nameservers.push(values[0]!)
    else if (word === 'search') search = values.map((value) => value.replace(/(.)\.$/, '$1'))
    else if (word === 'domain') search = values.slice(0, 1)
    else if (word === 'options') options.push(...values)
  }
  return { nameservers, search, options }
}
