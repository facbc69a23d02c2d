/** `gantry kubeconfig`: the cluster for kubectl and other clients of Kubernetes. */
import { kubeAddresses, loadCredentials } from '../../proto/client/context.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { kubeconfig } from '../../proto/client/kubeconfig.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { firstReachable } from '../../proto/client/reachable.ts'
import { UsageError } from '../../proto/client/failures.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'print a kubeconfig, for kubectl and other clients',
  description:
    'Prints a kubeconfig with the context in use: whoever has it is who the context is. Certificates and key stand in it, so keep it as you keep keys. ' +
    'A kubeconfig names one server; of several controllers it is the first that can be reached now.',
  examples: [
    'gantry kubeconfig > lab.kubeconfig && kubectl --kubeconfig lab.kubeconfig get pods',
    'gantry kubeconfig --context lab --namespace shop',
  ],
  flags: {
    'kube-server': {
      type: 'text',
      value: 'host:port',
      help: 'the server to name, instead of a controller that is reached',
    },
  },
  completes: 'none',
  async run({ flags, args, environment, global, target }) {
    if (args.length > 0) throw new UsageError(`"${args[0]}" is not expected here`, 'name a context with --context')
    const chosen = flags['kube-server']
    if (chosen !== undefined && !/^.+:\d+$/.test(chosen))
      throw new UsageError(`--kube-server: "${chosen}" is not host:port`)
    const context = await target.context()
    const credentials = await loadCredentials(context, target.file)
    if (credentials === undefined)
      throw new GantryError(
        'FailedPrecondition',
        `context ${context.name} has no certificates: the Kubernetes API is not served in the clear`,
        { details: [{ remedy: 'gantry config set-context NAME --ca FILE --cert FILE --key FILE' }] },
      )
    const addresses = kubeAddresses(context)
    const server = chosen ?? (await firstReachable(addresses, environment.signal))
    environment.signal.throwIfAborted()
    if (server === undefined)
      environment.stderr.write(`warning: none of ${addresses.join(', ')} can be reached from here now\n`)
    environment.stdout.write(
      kubeconfig(
        { ...context, ...(global.namespace !== undefined && { namespace: global.namespace }) },
        credentials,
        server ?? addresses[0]!,
      ),
    )
  },
})
