/** ServiceAccounts. https://kubernetes.io/docs/concepts/security/service-accounts/ */
import type { ServiceAccount } from '../gen/types.ts'
import { ACCESS_ANNOTATION, ACCESS_LEVELS } from '../objects/account-access.ts'
import { entryPath } from '../base/path.ts'
import type { KindRules } from './kind-rules.ts'
import type { Report } from './report.ts'

export const serviceAccountRules: KindRules<'ServiceAccount'> = { object: validateServiceAccount }

function validateServiceAccount(report: Report, { metadata: { annotations = {} } }: ServiceAccount): void {
  const access = annotations[ACCESS_ANNOTATION]
  if (access === undefined || ACCESS_LEVELS.some((level) => level === access)) return
  report.wrong(
    entryPath('metadata.annotations', ACCESS_ANNOTATION),
    access,
    'is not a level of access',
    `use ${ACCESS_LEVELS.join(', ')}`,
  )
}
