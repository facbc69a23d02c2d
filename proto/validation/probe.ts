/**
 * Probes and lifecycle hooks of a container. https://kubernetes.io/docs/concepts/workloads/pods/probes/,
 * https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
 */
import type { Container, HTTPGetAction, LifecycleHandler, Probe, ProbeHandler } from '../gen/types.ts'
import { formats } from '../base/format.ts'
import { fieldPath } from '../base/path.ts'
import { exactlyOne, type Report } from './report.ts'

/** What around a container decides what its probes and hooks may say. */
export interface ProbedPod {
  /** Seconds. */
  readonly terminationGracePeriodSeconds: number
}

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const

/** An init container that ends before the others start is asked nothing. */
export function refuseProbes(report: Report, path: string, container: Container): void {
  for (const field of [...PROBES, 'lifecycle'] as const) {
    if (container[field] !== undefined)
      report.refused(
        fieldPath(path, field),
        'is not for init containers that end',
        'leave it out, or say restartPolicy: Always for one that runs beside the others',
      )
  }
}

export function validateProbes(report: Report, path: string, container: Container, pod: ProbedPod): void {
  for (const field of PROBES) {
    const probe = container[field]
    if (probe !== undefined) validateProbe(report, fieldPath(path, field), probe, field === 'readinessProbe')
  }
  for (const hook of ['postStart', 'preStop'] as const) {
    const handler = container.lifecycle?.[hook]
    if (handler !== undefined) validateHook(report, fieldPath(path, `lifecycle.${hook}`), handler, pod)
  }
}

function validateProbe(report: Report, path: string, probe: Probe, readiness: boolean): void {
  const { successThreshold = 1, terminationGracePeriodSeconds } = probe
  if (!readiness && successThreshold !== 1)
    report.wrong(
      fieldPath(path, 'successThreshold'),
      successThreshold,
      'must be 1',
      'leave it out; only a readinessProbe may need more',
    )
  if (readiness && terminationGracePeriodSeconds !== undefined)
    report.wrong(
      fieldPath(path, 'terminationGracePeriodSeconds'),
      terminationGracePeriodSeconds,
      'is not for a readinessProbe, which ends nothing',
      'leave it out',
    )
  exactlyOne(report, path, probe as ProbeHandler, ['exec', 'httpGet', 'tcpSocket', 'grpc'])
  validateAction(report, path, probe as ProbeHandler)
}

function validateHook(
  report: Report,
  path: string,
  handler: LifecycleHandler,
  { terminationGracePeriodSeconds: grace }: ProbedPod,
): void {
  exactlyOne(report, path, handler, ['exec', 'httpGet', 'sleep'])
  validateAction(report, path, handler)
  const { sleep } = handler
  if (sleep !== undefined && sleep.seconds > grace) {
    report.wrong(
      fieldPath(path, 'sleep'),
      sleep.seconds,
      `is more than terminationGracePeriodSeconds, ${grace}`,
      'shorten it, or give the pod more grace',
    )
  }
}

function validateAction(report: Report, path: string, { exec, httpGet, tcpSocket }: ProbeHandler): void {
  if (exec !== undefined && (exec.command ?? []).length === 0)
    report.missing(fieldPath(path, 'exec.command'), 'give a program and its arguments')
  if (httpGet !== undefined) validateRequest(report, fieldPath(path, 'httpGet'), httpGet)
  if (tcpSocket !== undefined) validatePort(report, fieldPath(path, 'tcpSocket.port'), tcpSocket.port)
}

function validateRequest(report: Report, path: string, { port, host }: HTTPGetAction): void {
  validatePort(report, fieldPath(path, 'port'), port)
  if (host !== undefined && /[\s/?#@]/.test(host))
    report.wrong(
      fieldPath(path, 'host'),
      host,
      'is not the name or address of a host',
      'write only the host; path and port have fields of their own',
    )
}

/** A number, or a name: whether the container has a port of that name is seen when it runs, as in Kubernetes. */
function validatePort(report: Report, path: string, port: string | number | undefined): void {
  if (port === undefined) return
  const flaw = typeof port === 'number' ? formats.port(port) : formats.portName(port)
  if (flaw !== undefined) report.wrong(path, port, flaw.message, flaw.remedy)
}
