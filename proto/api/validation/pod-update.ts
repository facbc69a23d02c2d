/** What of a pod may change. https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement */
import type { Pod, PodSpec, Toleration } from '../../gen/types.ts'
import { fieldPath, entryPath } from '../path.ts'
import { sameJson } from '../shape.ts'
import type { Report } from './report.ts'

const CHANGEABLE = 'only image, activeDeadlineSeconds and further tolerations can be; create a new pod for the rest'

export function validatePodUpdate(report: Report, { spec: next }: Pod, { spec: previous }: Pod): void {
  if (previous.nodeName !== undefined && previous.nodeName !== '' && next.nodeName !== previous.nodeName) {
    report.wrong('spec.nodeName', next.nodeName ?? '', 'cannot be changed once the pod is bound', `it runs on ${previous.nodeName}`)
  }
  validateDeadline(report, next.activeDeadlineSeconds, previous.activeDeadlineSeconds)
  validateTolerations(report, next.tolerations ?? [], previous.tolerations ?? [])
  validateSame(report, fixed(next), fixed(previous), 'spec')
}

/** A deadline can be set or brought forward. */
function validateDeadline(report: Report, next: number | undefined, previous: number | undefined): void {
  if (previous === undefined || (next !== undefined && next <= previous)) return
  report.wrong('spec.activeDeadlineSeconds', next ?? '', 'cannot be put off or taken away', `give at most ${previous}`)
}

/** Tolerations can be added, and their seconds changed. */
function validateTolerations(report: Report, next: readonly Toleration[], previous: readonly Toleration[]): void {
  const without = ({ tolerationSeconds: _seconds, ...rest }: Toleration): object => rest
  const missing = previous.filter((toleration) => !next.some((other) => sameJson(without(other), without(toleration))))
  for (const toleration of missing) report.wrong('spec.tolerations', toleration, 'cannot be taken away', 'tolerations can only be added')
}

/** The spec without what may change. */
function fixed(spec: PodSpec): object {
  const { nodeName: _node, activeDeadlineSeconds: _deadline, tolerations: _tolerations, containers, initContainers, ...rest } = spec
  const withoutImage = ({ image: _image, ...container }: PodSpec['containers'][number]): object => container
  return { ...rest, containers: containers.map(withoutImage), initContainers: initContainers?.map(withoutImage) }
}

/** Reports the deepest places at which two values differ. */
function validateSame(report: Report, next: unknown, previous: unknown, path: string): void {
  if (sameJson(next, previous)) return
  if (Array.isArray(next) && Array.isArray(previous) && next.length === previous.length) {
    next.forEach((item, index) => validateSame(report, item, previous[index], entryPath(path, index)))
  } else if (isFields(next) && isFields(previous)) {
    for (const key of new Set([...Object.keys(next), ...Object.keys(previous)])) validateSame(report, next[key], previous[key], fieldPath(path, key))
  } else report.refused(path, 'cannot be changed once the pod exists', CHANGEABLE)
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
