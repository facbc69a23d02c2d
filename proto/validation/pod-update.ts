/** What of a pod may change. https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement */
import { isRestartableInitContainer } from '../objects/containers.ts'
import type { Container, ObjectMeta, Pod, PodSpec, Toleration } from '../gen/types.ts'
import type { Subresource } from '../merge/ownership.ts'
import { fieldPath, entryPath } from '../base/path.ts'
import { CLUSTER_NETWORK_ANNOTATION, NETWORKS_ANNOTATION, podNetworks } from '../objects/pod-networks.ts'
import { qosClassOf } from '../objects/qos.ts'
import { sameJson } from '../base/json.ts'
import type { Report } from './report.ts'

const CHANGEABLE = 'only image, activeDeadlineSeconds and further tolerations can be; create a new pod for the rest'

export function validatePodUpdate(
  report: Report,
  { metadata, spec: next }: Pod,
  { metadata: before, spec: previous }: Pod,
  subresource: Subresource,
): void {
  if (subresource === 'ephemeralcontainers') return validateAdded(report, next, previous)
  if (subresource === 'resize') return validateResize(report, next, previous)
  if (previous.nodeName !== undefined && previous.nodeName !== '' && next.nodeName !== previous.nodeName) {
    report.wrong(
      'spec.nodeName',
      next.nodeName ?? '',
      'cannot be changed once the pod is bound',
      `it runs on ${previous.nodeName}`,
      'FieldValueForbidden',
    )
  }
  validateDeadline(report, next.activeDeadlineSeconds, previous.activeDeadlineSeconds)
  validateTolerations(report, next.tolerations ?? [], previous.tolerations ?? [])
  validateSame(report, fixed(next), fixed(previous), 'spec')
  validateNetworks(report, metadata, before)
}

/**
 * The pod's interfaces are made when it starts, and what the Networks give to its node is counted by what it asks for.
 */
function validateNetworks(report: Report, next: ObjectMeta, previous: ObjectMeta): void {
  if (sameJson(podNetworks(next), podNetworks(previous))) return
  for (const annotation of [NETWORKS_ANNOTATION, CLUSTER_NETWORK_ANNOTATION]) {
    const [now, before] = [next, previous].map(({ annotations }) => annotations?.[annotation])
    if (now !== before)
      report.wrong(
        entryPath('metadata.annotations', annotation),
        now ?? '',
        'cannot be changed once the pod exists',
        before === undefined ? 'leave it out, or create a new pod' : `it is ${before}; create a new pod`,
      )
  }
}

/** Ephemeral containers are added; none is changed or taken away. */
function validateAdded(
  report: Report,
  { ephemeralContainers: next = [] }: PodSpec,
  { ephemeralContainers: previous = [] }: PodSpec,
): void {
  const path = 'spec.ephemeralContainers'
  const places = new Map([...next.entries()].reverse().map(([index, { name }]) => [name, index]))
  for (const container of previous) {
    const at = places.get(container.name)
    if (at === undefined)
      report.refused(path, `${container.name} cannot be taken away`, 'ephemeral containers can only be added')
    else if (!sameJson(next[at], container))
      report.refused(entryPath(path, at), 'cannot be changed', 'add another ephemeral container')
  }
}

/**
 * Of containers that go on running, cpu and memory can be changed, and neither taken away; the class of the pod's
 * quality of service stays.
 */
function validateResize(report: Report, next: PodSpec, previous: PodSpec): void {
  const lists = [
    ['containers', next.containers, previous.containers],
    ['initContainers', next.initContainers ?? [], previous.initContainers ?? []],
  ] as const
  for (const [field, containers, before] of lists) {
    containers.forEach((container, index) =>
      validateContainerResize(
        report,
        entryPath(`spec.${field}`, index),
        container,
        before[index]!,
        field === 'containers' || isRestartableInitContainer(container),
      ),
    )
  }
  const [quality, had] = [qosClassOf(next), qosClassOf(previous)]
  if (quality !== had)
    report.refused(
      'spec',
      `would make the pod's quality of service ${quality}, and it is ${had} for good`,
      'change requests and limits alike, or create a new pod',
      'FieldValueInvalid',
    )
}

function validateContainerResize(
  report: Report,
  path: string,
  { resources }: Container,
  { resources: before }: Container,
  lasting: boolean,
): void {
  if (sameJson(resources, before)) return
  if (!lasting)
    return report.refused(
      fieldPath(path, 'resources'),
      'cannot be changed: the init container does not go on running',
      'create a new pod',
    )
  for (const which of ['limits', 'requests'] as const) {
    const [now, then] = [resources[which] ?? {}, before[which] ?? {}]
    for (const name of new Set([...Object.keys(now), ...Object.keys(then)])) {
      const at = entryPath(fieldPath(path, `resources.${which}`), name)
      if (now[name] === then[name]) continue
      if (name !== 'cpu' && name !== 'memory')
        report.refused(at, 'cannot be changed once the pod exists', 'only cpu and memory can be')
      else if (now[name] === undefined)
        report.refused(
          fieldPath(path, `resources.${which}`),
          `${name} cannot be taken away: resource ${which} cannot be removed`,
          'give another amount, or create a new pod',
        )
    }
  }
}

/** A deadline can be set or brought forward. */
function validateDeadline(report: Report, next: number | undefined, previous: number | undefined): void {
  if (previous === undefined || (next !== undefined && next <= previous)) return
  report.wrong('spec.activeDeadlineSeconds', next ?? '', 'cannot be put off or taken away', `give at most ${previous}`)
}

/** Tolerations can be added, and their seconds changed. */
function validateTolerations(report: Report, next: readonly Toleration[], previous: readonly Toleration[]): void {
  const identity = ({ key, operator, value, effect }: Toleration): string =>
    JSON.stringify([key, operator, value, effect])
  const there = new Set(next.map(identity))
  const missing = previous.filter((toleration) => !there.has(identity(toleration)))
  for (const toleration of missing)
    report.wrong(
      'spec.tolerations',
      toleration,
      'cannot be taken away',
      'tolerations can only be added',
      'FieldValueForbidden',
    )
}

/** The spec without what may change. */
function fixed(spec: PodSpec): object {
  const {
    nodeName: _node,
    activeDeadlineSeconds: _deadline,
    tolerations: _tolerations,
    containers,
    initContainers,
    ...rest
  } = spec
  const withoutImage = ({ image: _image, ...container }: PodSpec['containers'][number]): object => container
  return { ...rest, containers: containers.map(withoutImage), initContainers: initContainers?.map(withoutImage) }
}

/** Reports the deepest places at which two values differ. */
function validateSame(report: Report, next: unknown, previous: unknown, path: string): void {
  if (sameJson(next, previous)) return
  if (Array.isArray(next) && Array.isArray(previous) && next.length === previous.length) {
    next.forEach((item, index) => validateSame(report, item, previous[index], entryPath(path, index)))
  } else if (isFields(next) && isFields(previous)) {
    for (const key of new Set([...Object.keys(next), ...Object.keys(previous)]))
      validateSame(report, next[key], previous[key], fieldPath(path, key))
  } else report.refused(path, 'cannot be changed once the pod exists', remedyOf(path))
}

/** Some of it can be, but by way of a subresource. */
function remedyOf(path: string): string {
  if (path.startsWith('spec.ephemeralContainers'))
    return 'write the subresource ephemeralcontainers, as kubectl debug does'
  return /^spec\.(initC|c)ontainers\[\d+\]\.resources/.test(path)
    ? 'write the subresource resize: kubectl patch --subresource resize'
    : CHANGEABLE
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
