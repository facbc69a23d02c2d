/** Requests and limits. https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/ */
import type { ResourceRequirements } from '../gen/types.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { readQuantity } from '../base/quantity.ts'
import type { Report } from './report.ts'

const WHOLE = 1_000_000_000n

export function validateResources(
  report: Report,
  path: string,
  { limits = {}, requests = {} }: ResourceRequirements,
): void {
  validateAmounts(report, fieldPath(path, 'limits'), limits)
  validateAmounts(report, fieldPath(path, 'requests'), requests)
  for (const [name, request] of Object.entries(requests)) {
    const limit = limits[name]
    const at = fieldPath(path, 'requests')
    if (name.includes('/') && limit === undefined)
      report.missing(fieldPath(path, 'limits'), `${name} cannot be shared: set a limit that is the request`)
    const [asked, most] = [amountOf(request), amountOf(limit)]
    if (asked === undefined || most === undefined) continue
    if (name.includes('/') && asked !== most)
      report.wrong(
        at,
        request,
        `of ${name} differs from the limit, ${limit}`,
        `${name} cannot be shared: request the limit`,
      )
    else if (asked > most)
      report.wrong(at, request, `of ${name} is more than the limit, ${limit}`, 'request at most the limit')
  }
}

function validateAmounts(report: Report, path: string, amounts: Readonly<Record<string, string>>): void {
  for (const [name, amount] of Object.entries(amounts)) {
    const at = entryPath(path, name)
    const nanos = amountOf(amount)
    if (nanos === undefined) continue
    if (nanos < 0n) report.wrong(at, amount, 'is negative', 'give 0 or more')
    if (name === 'pods') report.wrong(at, amount, 'is a resource of nodes, not of containers', 'leave it out')
    const divisible = name === 'cpu' ? 1_000_000n : WHOLE
    if (nanos % divisible !== 0n)
      report.wrong(
        at,
        amount,
        'is too fine',
        name === 'cpu' ? 'cpu is counted in 1m (a thousandth of a core)' : `${name} is counted in whole units`,
      )
  }
}

/** In units of 10⁻⁹; undefined for what is absent, or is no quantity and reported as that by the schema's rules. */
export function amountOf(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : readQuantity(text)?.nanos
}
