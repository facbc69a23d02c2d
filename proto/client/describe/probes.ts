/** Probes and hooks of a container, as `kubectl describe` tells them. */
import type { Container, LifecycleHandler, Probe, ProbeHandler } from '../../gen/types.ts'
import { entry, type Entry } from './page.ts'

export function probeEntries({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): Entry[] {
  const probe = (label: string, value: Probe | undefined): Entry[] =>
    value === undefined ? [] : [entry(label, probeText(value))]
  const hook = (label: string, value: LifecycleHandler | undefined): Entry[] =>
    value === undefined ? [] : [entry(label, handlerText(value))]
  return [
    ...probe('Liveness', livenessProbe),
    ...probe('Readiness', readinessProbe),
    ...probe('Startup', startupProbe),
    ...hook('Post-Start', lifecycle?.postStart),
    ...hook('Pre-Stop', lifecycle?.preStop),
    ...(lifecycle?.stopSignal === undefined ? [] : [entry('Stop Signal', lifecycle.stopSignal)]),
  ]
}

/** "http-get http://:8080/ delay=0s timeout=1s period=10s #success=1 #failure=3" */
export function probeText(probe: Probe): string {
  const { initialDelaySeconds = 0, timeoutSeconds, periodSeconds, successThreshold, failureThreshold } = probe
  return `${handlerText(probe)} delay=${initialDelaySeconds}s timeout=${timeoutSeconds}s period=${periodSeconds}s #success=${successThreshold} #failure=${failureThreshold}`
}

function handlerText({ exec, httpGet, tcpSocket, grpc, sleep }: ProbeHandler & LifecycleHandler): string {
  if (exec !== undefined) return `exec [${(exec.command ?? []).join(' ')}]`
  if (httpGet !== undefined) {
    const { scheme, host = '', port, path } = httpGet
    return `http-get ${scheme.toLowerCase()}://${host}:${port}${path.startsWith('/') ? '' : '/'}${path}`
  }
  if (tcpSocket !== undefined) return `tcp-socket ${tcpSocket.host ?? ''}:${tcpSocket.port}`
  if (grpc !== undefined) return `grpc <pod>:${grpc.port} ${grpc.service ?? ''}`
  return sleep === undefined ? 'unknown' : `sleep ${sleep.seconds}s`
}
