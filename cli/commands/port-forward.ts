/**
 * `gantry port-forward`: ports of a pod on this machine.
 * https://kubernetes.io/docs/reference/kubectl/generated/kubectl_port-forward/
 */
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import { joinPod } from '../../proto/rpc/port-forward.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { resolveForwardTarget } from '../forward/forward-target.ts'
import { parsePorts, portsOfPod, portsOfService, type ForwardedPort } from '../forward/ports.ts'
import { observe } from '../../proto/client/follow.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

export default defineCommand({
  usage: '(POD | TYPE/NAME) [LOCAL:]REMOTE…',
  summary: 'reach ports of a pod from this machine',
  description:
    'Listens on this machine and passes each connection on into a pod, to its localhost: also what listens there only is reached. Of a Service or a workload one pod is chosen, ready if any is, and kept; when it goes, the command ends. TCP only.',
  examples: [
    'gantry port-forward pod/web 8080:80',
    'gantry port-forward svc/web 8080:http',
    'gantry port-forward deploy/web :80',
    'gantry port-forward web 5000 6000 --address 0.0.0.0',
  ],
  flags: {
    address: {
      type: 'list',
      commas: true,
      value: 'address',
      help: 'where to listen (default localhost: 127.0.0.1 and ::1)',
    },
    'pod-running-timeout': {
      type: 'duration',
      value: 'time',
      default: 60_000,
      help: 'give up when no pod runs after this time',
    },
  },
  completes: 'pods-and-workloads',
  async run({ flags, args, environment, target }) {
    const [operand, ...texts] = args
    if (operand === undefined) throw new UsageError('to which pod? Say POD or TYPE/NAME')
    if (texts.length === 0)
      throw new UsageError('which ports? Say [LOCAL:]REMOTE', `such as \`gantry port-forward ${operand} 8080:80\``)
    const specs = parsePorts(texts)
    const cluster = await target.cluster()
    const { pod, service } = await resolveForwardTarget(
      cluster,
      environment,
      operand,
      await target.namespace(),
      flags['pod-running-timeout'],
    )
    const ports = service === undefined ? portsOfPod(specs, pod) : portsOfService(specs, service, pod)
    const ending = new AbortController()
    const signal = AbortSignal.any([environment.signal, ending.signal])
    const servers: Server[] = []
    try {
      for (const port of ports) servers.push(...(await listen(cluster, environment, pod, port, flags.address, signal)))
      await untilGone(cluster, environment, pod)
      throw new GantryError('FailedPrecondition', `lost connection to pod: ${pod.metadata.name} is gone`)
    } finally {
      ending.abort(new GantryError('Cancelled', 'forwarding has ended'))
      for (const server of servers) server.close()
    }
  },
})

/** On every address for one port: a free one, once chosen, is the same on all. Of localhost one family is enough. */
async function listen(
  cluster: ClusterClient,
  environment: Environment,
  pod: Pod,
  { local, remote }: ForwardedPort,
  asked: readonly string[],
  signal: AbortSignal,
): Promise<Server[]> {
  const addresses = (asked.length === 0 ? ['localhost'] : asked).flatMap((address) =>
    address === 'localhost'
      ? [
          { address: '127.0.0.1', optional: false },
          { address: '::1', optional: true },
        ]
      : [{ address, optional: false }],
  )
  const servers: Server[] = []
  let port = local
  for (const { address, optional } of addresses) {
    const server = createServer(
      { allowHalfOpen: true },
      (socket) => void serve(cluster, environment, pod, socket, port, remote, signal),
    )
    try {
      await new Promise<void>((resolve, reject) =>
        server.once('error', reject).listen({ host: address, port, ipv6Only: isIPv6(address) }, resolve),
      )
    } catch (thrown) {
      if (optional && servers.length > 0) continue
      for (const other of servers) other.close()
      const { code, message } = thrown as NodeJS.ErrnoException
      const why =
        code === 'EADDRINUSE' ? 'another program listens there' : code === 'EACCES' ? 'that needs more rights' : message
      throw new GantryError(
        'FailedPrecondition',
        `unable to listen on ${isIPv6(address) ? `[${address}]` : address}:${port}: ${why}`,
        { cause: thrown, details: [{ remedy: `choose another, such as :${remote} for any that is free` }] },
      )
    }
    port = (server.address() as { port: number }).port
    servers.push(server)
    environment.stdout.write(`Forwarding from ${isIPv6(address) ? `[${address}]` : address}:${port} -> ${remote}\n`)
  }
  return servers
}

async function serve(
  cluster: ClusterClient,
  environment: Environment,
  pod: Pod,
  socket: Socket,
  local: number,
  remote: number,
  signal: AbortSignal,
): Promise<void> {
  environment.stdout.write(`Handling connection for ${local}\n`)
  try {
    const { namespace, name, uid } = pod.metadata
    await joinPod(
      (inputs, ended) => cluster.portForward(inputs, ended),
      socket,
      { namespace, pod: name, uid, port: remote },
      signal,
    )
  } catch (thrown) {
    if (!signal.aborted)
      environment.stderr.write(
        `an error occurred forwarding ${local} -> ${remote}: ${GantryError.from(thrown).message}\n`,
      )
  }
}

/** Resolves when this very pod no longer runs. */
async function untilGone(cluster: ClusterClient, { clock, signal }: Environment, { metadata }: Pod): Promise<void> {
  for await (const now of observe(cluster, clock, 'Pod', metadata.namespace, metadata.name, signal)) {
    if (now === undefined || now.metadata.uid !== metadata.uid || isTerminal(now)) return
  }
}
