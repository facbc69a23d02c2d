/** `gantry proxy`: pods and Services by HTTP on this machine, at the paths that kubectl's proxy has for them. */
import { isIPv6 } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { createProxyServer } from '../proxy/proxy-server.ts'
import { UsageError } from '../../proto/client/failures.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'reach pods and services by HTTP from this machine',
  description:
    'Serves /api/v1/namespaces/NAMESPACE/services/[https:]NAME[:PORT]/proxy/PATH, the same with pods/, and at / a list of the services, websockets too. Requests need no credentials here: who reaches the port reaches the pods. Other paths of the Kubernetes API are not served.',
  examples: [
    'gantry proxy',
    'gantry proxy --port 0',
    'curl http://127.0.0.1:8001/api/v1/namespaces/default/services/web:80/proxy/healthz',
  ],
  flags: {
    port: { type: 'integer', short: 'p', value: 'number', default: 8001, help: 'where to listen; 0 chooses one' },
    address: { type: 'text', value: 'address', default: '127.0.0.1', help: 'where to listen' },
    'accept-hosts': {
      type: 'text',
      value: 'pattern',
      default: '^localhost$,^127\\.0\\.0\\.1$,^\\[::1\\]$',
      help: 'hosts that requests may be for, as regular expressions',
    },
    'accept-paths': {
      type: 'text',
      value: 'pattern',
      default: '^.*',
      help: 'paths that are served, as regular expressions',
    },
    'reject-paths': { type: 'text', value: 'pattern', help: 'paths that are not, although accepted' },
  },
  completes: 'none',
  async run({ flags, args, environment, target }) {
    if (args.length > 0) throw new UsageError(`"${args[0]}" is not expected here`)
    const { port, address } = flags
    if (port < 0 || port > 65_535) throw new UsageError(`--port: ${port} is no port`)
    const options = {
      acceptHosts: patterns('accept-hosts', flags['accept-hosts']),
      acceptPaths: patterns('accept-paths', flags['accept-paths']),
      rejectPaths: flags['reject-paths'] === undefined ? undefined : patterns('reject-paths', flags['reject-paths']),
    }
    const cluster = await target.cluster()
    const ending = new AbortController()
    const { signal } = environment
    const server = createProxyServer(cluster, environment, options, AbortSignal.any([signal, ending.signal]))
    try {
      await new Promise<void>((resolve, reject) =>
        server.once('error', reject).listen({ host: address, port }, resolve),
      )
      const { port: bound } = server.address() as { port: number }
      environment.stdout.write(`Starting to serve on ${isIPv6(address) ? `[${address}]` : address}:${bound}\n`)
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    } catch (thrown) {
      throw new GantryError(
        'FailedPrecondition',
        `unable to listen on ${address}:${port}: ${(thrown as Error).message}`,
        { cause: thrown, details: [{ remedy: 'choose another with --port; 0 takes any that is free' }] },
      )
    } finally {
      ending.abort(new GantryError('Cancelled', 'the proxy has ended'))
      server.close()
      server.closeAllConnections()
    }
  },
})

/** One of several, with commas between. */
function patterns(flag: string, text: string): RegExp {
  try {
    return new RegExp(
      text
        .split(',')
        .map((one) => `(?:${one})`)
        .join('|'),
    )
  } catch (thrown) {
    throw new UsageError(`--${flag}: ${(thrown as Error).message}`)
  }
}
