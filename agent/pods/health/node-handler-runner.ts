/**
 * Probes and hooks as the node makes them: commands in the container, everything else from the node's own network to
 * the pod's address.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type {
  ContainerPort,
  ExecAction,
  HTTPGetAction,
  LifecycleHandler,
  ProbeHandler,
} from '../../../proto/gen/types.ts'
import type { RuntimeDriver } from '../../runtime/contract.ts'
import type { HandlerRunner, HandlerTarget, ProbeOutcome } from './contract.ts'
import { grpcHealth } from './grpc-health.ts'
import { HttpProber, READ_LIMIT, urlOf, type HttpRequest } from './http-prober.ts'
import { tcpConnect } from './tcp-connect.ts'

export interface NodeHandlerRunnerParts {
  readonly runtime: Pick<RuntimeDriver, 'exec'>
  /** Of Gantry. */
  readonly version: string
}

/** Characters of an answer or of an output that a message shows at most. */
const MAX_MESSAGE_CHARS = 1024

export class NodeHandlerRunner implements HandlerRunner {
  readonly #runtime: Pick<RuntimeDriver, 'exec'>
  readonly #http = new HttpProber()
  /** Begins as that of Kubernetes: applications know it by that, to leave it out of their logs. */
  readonly #userAgent: { readonly probe: string; readonly hook: string }

  constructor({ runtime, version }: NodeHandlerRunnerParts) {
    this.#runtime = runtime
    this.#userAgent = { probe: `kube-probe/1.34 gantry/${version}`, hook: `kube-lifecycle/1.34 gantry/${version}` }
  }

  async probe(
    { exec, httpGet, tcpSocket, grpc }: ProbeHandler,
    target: HandlerTarget,
    signal: AbortSignal,
  ): Promise<ProbeOutcome> {
    try {
      if (exec !== undefined) return await this.#command(exec, target, signal)
      if (httpGet !== undefined) return await this.#request(httpGet, target, signal)
      if (tcpSocket !== undefined) {
        await tcpConnect(hostOf(tcpSocket.host, target), portOf(tcpSocket.port, target.ports), signal)
        return { verdict: 'success', message: '' }
      }
      if (grpc !== undefined)
        return await grpcHealth(target.address, grpc.port, grpc.service ?? '', this.#userAgent.probe, signal)
      return { verdict: 'error', message: 'the probe says nothing to be done' }
    } catch (thrown) {
      const error = GantryError.from(thrown)
      // A port whose name is not there: the pod is at fault, not what runs in it.
      return { verdict: thrown instanceof UnknownPortError ? 'error' : 'failure', message: error.message }
    }
  }

  async hook({ exec, httpGet }: LifecycleHandler, target: HandlerTarget, signal: AbortSignal): Promise<void> {
    if (exec !== undefined) {
      const { exitCode, output } = await this.#run(exec, target, signal)
      if (exitCode !== 0)
        throw new GantryError('FailedPrecondition', `${quoted(exec)} exited with ${exitCode}${excerpt(output)}`)
    } else if (httpGet !== undefined) {
      const request = this.#requestOf(httpGet, target, this.#userAgent.hook)
      try {
        await this.#http.request(request, signal)
      } catch (thrown) {
        if (signal.aborted) throw thrown
        throw new GantryError('Unavailable', `Get "${urlOf(request).href}": ${GantryError.from(thrown).message}`, {
          cause: thrown,
        })
      }
    }
  }

  async #command(action: ExecAction, target: HandlerTarget, signal: AbortSignal): Promise<ProbeOutcome> {
    try {
      const { exitCode, output } = await this.#run(action, target, signal)
      return {
        verdict: exitCode === 0 ? 'success' : 'failure',
        message: output === '' ? `${quoted(action)} exited with ${exitCode}` : output,
      }
    } catch (thrown) {
      if (signal.aborted)
        return {
          verdict: 'failure',
          message: `command ${quoted(action)} was ended: ${GantryError.from(signal.reason).message}`,
        }
      throw thrown
    }
  }

  async #run(
    { command = [] }: ExecAction,
    { instanceId }: HandlerTarget,
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly output: string }> {
    const chunks: Uint8Array[] = []
    let size = 0
    const { exitCode, message } = await this.#runtime.exec(
      instanceId,
      {
        command,
        tty: false,
        stdin: undefined,
        resizes: emptyInput(),
        output: (_stream, chunk) => {
          if (size < READ_LIMIT) chunks.push(chunk.slice(0, READ_LIMIT - size))
          size += chunk.length
        },
      },
      signal,
    )
    return { exitCode, output: message === '' ? Buffer.concat(chunks).toString().trimEnd() : message }
  }

  async #request(action: HTTPGetAction, target: HandlerTarget, signal: AbortSignal): Promise<ProbeOutcome> {
    const request = this.#requestOf(action, target, this.#userAgent.probe)
    try {
      const { status, body } = await this.#http.request(request, signal)
      if (status >= 200 && status < 300) return { verdict: 'success', message: body }
      if (status >= 300 && status < 400)
        return {
          verdict: 'warning',
          message: `Probe terminated redirects, response body: ${body.slice(0, MAX_MESSAGE_CHARS)}`,
        }
      return { verdict: 'failure', message: `HTTP probe failed with statuscode: ${status}${excerpt(body)}` }
    } catch (thrown) {
      return {
        verdict: 'failure',
        message: `Get "${urlOf(request).href}": ${GantryError.from(signal.aborted ? signal.reason : thrown).message}`,
      }
    }
  }

  #requestOf(
    { host, port, path, scheme, httpHeaders = [] }: HTTPGetAction,
    target: HandlerTarget,
    userAgent: string,
  ): HttpRequest {
    return {
      scheme: scheme === 'HTTPS' ? 'HTTPS' : 'HTTP',
      host: hostOf(host, target),
      port: portOf(port, target.ports),
      path: path === '' ? '/' : path,
      headers: httpHeaders,
      userAgent,
    }
  }
}

class UnknownPortError extends Error {
  constructor(name: string) {
    super(`the container has no port named "${name}"`)
    this.name = 'UnknownPortError'
  }
}

/** A number, or the number of the port that has this name. */
function portOf(port: number | string, ports: readonly ContainerPort[]): number {
  if (typeof port === 'number') return port
  const found = ports.find(({ name }) => name === port)
  if (found === undefined) throw new UnknownPortError(port)
  return found.containerPort
}

function hostOf(host: string | undefined, { address }: HandlerTarget): string {
  return host === undefined || host === '' ? address : host
}

function quoted({ command = [] }: ExecAction): string {
  return JSON.stringify(command.join(' '))
}

/** What there is to be read, its begin at least. */
function excerpt(text: string): string {
  const shown = text.trim()
  return shown === '' ? '' : `: ${shown.length > MAX_MESSAGE_CHARS ? `${shown.slice(0, MAX_MESSAGE_CHARS)}…` : shown}`
}

async function* emptyInput(): AsyncGenerator<never, void, undefined> {
  // No terminal, no sizes.
}
