/** Words of tables about Ingresses and Gateways. */
import { findCondition } from '../conditions.ts'
import type { Condition, Ingress } from '../../gen/types.ts'

/** "a.example.com,b.example.com + 3 more...", as kubectl shortens them. */
export function ingressHosts({ spec }: Ingress): string {
  const hosts = (spec.rules ?? []).map(({ host = '' }) => host).filter((host) => host !== '')
  const most = 3
  if (hosts.length === 0) return '*'
  return hosts.length > most ? `${hosts.slice(0, most).join(',')} + ${hosts.length - most} more...` : hosts.join(',')
}

export function ingressAddresses({ status }: Ingress): string {
  return (status.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '').join(',')
}

/** True, False, or Unknown for one that nobody has set. */
export function conditionWord(conditions: readonly Condition[] | undefined, type: string): string {
  return findCondition(conditions, type)?.status ?? 'Unknown'
}
