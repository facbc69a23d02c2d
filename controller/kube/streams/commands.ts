/**
 * pods/exec and pods/attach.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#create-connect-post-exec-pod
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { ExecInput, JsonObject, Pod } from '../../../proto/gen/types.ts'
import type { ResourceRequest, UpgradedConnection } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { HttpError, statusOf } from '../status.ts'
import { CHANNEL_PROTOCOLS } from './channels.ts'
import type { CommandClient, JoinedStreams } from './command-client.ts'
import { badRequest, callOf, refusal, runningContainer, runningPod } from './pod-target.ts'
import { COMMAND_PROTOCOLS, SpdyCommand } from './spdy-command.ts'
import { acceptSpdy, chooseSpdyProtocol, wantsSpdy } from './spdy-upgrade.ts'
import { acceptWebSocket, chooseProtocol, wantsWebSocket } from './web-socket.ts'
import { WebSocketCommand } from './web-socket-command.ts'

export interface CommandParts {
  readonly clock: Clock
}

/** Milliseconds for a client to open its streams. */
const STREAMS_DEADLINE = 30_000

export class PodCommands {
  readonly #parts: CommandParts

  constructor(parts: CommandParts) {
    this.#parts = parts
  }

  /** Upgrades the connection, runs the command, and tells the client how it ended. Errors before that are of HTTP. */
  async exec(request: ResourceRequest, connection: UpgradedConnection): Promise<void> {
    const command = request.query.getAll('command')
    if (command.length === 0) throw badRequest('you must specify at least 1 command for the container')
    const joined = joinedStreams(request.query)
    const {
      metadata: { namespace, name },
      container,
    } = await this.#target(request)
    const start: ExecInput = {
      input: {
        case: 'start',
        value: { namespace, pod: name, container, command, stdin: joined.stdin, tty: joined.tty, size: undefined },
      },
    }
    await this.#serve(request, connection, joined, start, 'exec')
  }

  async attach(request: ResourceRequest, connection: UpgradedConnection): Promise<void> {
    const joined = joinedStreams(request.query)
    const {
      metadata: { namespace, name },
      container,
    } = await this.#target(request)
    const start: ExecInput = {
      input: {
        case: 'attach',
        value: {
          namespace,
          pod: name,
          container,
          stdin: joined.stdin,
          tty: joined.tty,
          size: undefined,
          fromStart: false,
        },
      },
    }
    await this.#serve(request, connection, joined, start, 'attach')
  }

  async #target({
    target,
    query,
    authorized,
  }: ResourceRequest): Promise<{ metadata: Pod['metadata']; container: string }> {
    const pod = await runningPod(authorized.backends.reads, target)
    return { metadata: pod.metadata, container: runningContainer(pod, query.get('container') ?? '') }
  }

  async #serve(
    request: ResourceRequest,
    connection: UpgradedConnection,
    joined: JoinedStreams,
    start: ExecInput,
    call: 'exec' | 'attach',
  ): Promise<void> {
    const { clock } = this.#parts
    if (wantsWebSocket(request)) {
      const name = chooseProtocol(
        request,
        CHANNEL_PROTOCOLS.map((protocol) => protocol.name),
      )
      const socket = await acceptWebSocket(request, connection, name, clock)
      return this.#run(
        request,
        new WebSocketCommand(
          socket,
          CHANNEL_PROTOCOLS.find((protocol) => protocol.name === name)!,
          joined,
        ),
        start,
        call,
      )
    }
    if (!wantsSpdy(request))
      throw badRequest(`connections are upgraded to websocket or SPDY/3.1, not to ${request.headers.upgrade}`)
    const protocol = chooseSpdyProtocol(connection.request, COMMAND_PROTOCOLS)
    const { session, ended } = acceptSpdy(request, connection, protocol, {
      clock,
      limit: 5,
      opened: (stream) => client.opened(stream),
    })
    const client: SpdyCommand = new SpdyCommand(protocol, joined, async () => {
      session.close()
      await ended
    })
    const late = new AbortController()
    const deadline = delay(clock, STREAMS_DEADLINE, late.signal).then(
      () => session.close(),
      () => undefined,
    )
    // A client that opens too few is not waited for: its connection ends.
    const ready = await Promise.race([client.ready.then(() => true), ended.then(() => false)])
    late.abort()
    await deadline
    if (ready) await this.#run(request, client, start, call)
  }

  /** Until both the command and the connection have ended. */
  async #run(
    request: ResourceRequest,
    client: CommandClient,
    start: ExecInput,
    call: 'exec' | 'attach',
  ): Promise<void> {
    const ending = new AbortController()
    const signal = AbortSignal.any([request.signal, ending.signal])
    const inputs = async function* (): AsyncGenerator<ExecInput, void, undefined> {
      try {
        yield* client.inputs
      } catch (thrown) {
        ending.abort(thrown)
        throw thrown
      }
    }
    let status: JsonObject = statusOf(new GantryError('Unavailable', 'the stream ended before the command did')).body
    try {
      for await (const { output } of request.authorized.pods[call](start, inputs(), callOf(request, signal))) {
        switch (output?.case) {
          case 'exit':
            status = call === 'attach' ? SUCCESS : exitStatus(output.value!)
            break
          case 'stdout':
          case 'stderr':
            await client.write(output.case, output.value!)
            break
          case undefined:
            break
        }
      }
    } catch (thrown) {
      status = statusOf(refusal(ending.signal.aborted ? ending.signal.reason : thrown)).body
    }
    await client.finish(status)
  }
}

/** At least one must be joined: 400. With a terminal, both outputs are one. */
function joinedStreams(query: URLSearchParams): JoinedStreams {
  const [stdin, stdout, tty] = ['stdin', 'stdout', 'tty'].map((name) => flag(query, name) === true) as [
    boolean,
    boolean,
    boolean,
  ]
  const stderr = flag(query, 'stderr') === true && !tty
  if (!stdin && !stdout && !stderr) throw badRequest('you must specify at least 1 of stdin, stdout, stderr')
  return { stdin, stdout, stderr, tty }
}

const SUCCESS: JsonObject = { metadata: {}, status: 'Success' }

/** As the CRI's streaming server words it, which clients take the exit code from. */
function exitStatus({
  code = 0,
  message = '',
}: {
  readonly code?: number | undefined
  readonly message?: string | undefined
}): JsonObject {
  if (message !== '') {
    const cause = `error executing command in container: ${message}`
    // Clients read the first cause of every failure; an internal error's has a message alone.
    return {
      ...statusOf(new HttpError(500, 'InternalError', `Internal error occurred: ${cause}`, 'FailedPrecondition')).body,
      details: { causes: [{ message: cause }] },
    }
  }
  if (code === 0) return SUCCESS
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  }
}
