/** `gantry expose`: a Service for the pods of a workload. */
import { decodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { ExposedPort } from '../../proto/client/kinds/kind-record.ts'
import { wordOf } from '../../proto/client/kinds/readiness.ts'
import { kindsWith, recordOf } from '../../proto/client/kinds/registry.ts'
import type { AnyResource, JsonObject, JsonValue } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { parseNames } from '../../proto/client/operands.ts'
import { portValue } from './create-service.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'

type Labels = Readonly<Record<string, string>>

/** What of an object a Service for it needs. */
interface Exposed {
  readonly selector: Labels
  readonly labels: Labels
  readonly ports: readonly ExposedPort[]
}

export default defineCommand({
  usage: '(TYPE NAME | TYPE/NAME) [--port=PORT] [flags]',
  summary: "make a service for a workload's pods",
  description:
    'Makes a service that leads to the pods of a deployment, replica set, pod or other service. Without --port it has the ports that the containers name.',
  examples: [
    'gantry expose deploy/web --port=80 --target-port=8080',
    'gantry expose pod db --port=5432 --name=database',
    'gantry expose deploy/web --port=80 --type=LoadBalancer',
  ],
  flags: {
    port: { type: 'integer', value: 'number', help: 'the port of the service' },
    'target-port': { type: 'text', value: 'port', help: "number, or name, of the pods' port; the same if left out" },
    protocol: {
      type: 'text',
      value: 'name',
      choices: ['TCP', 'UDP', 'SCTP'],
      help: 'what the port speaks (default TCP)',
    },
    name: { type: 'text', value: 'name', help: 'of the service; that of the workload if left out' },
    type: {
      type: 'text',
      value: 'type',
      default: 'ClusterIP',
      choices: ['ClusterIP', 'NodePort', 'LoadBalancer'],
      help: 'how it is reached',
    },
    selector: {
      type: 'text',
      value: 'labels',
      help: 'labels of the pods, such as app=web; those of the workload if left out',
    },
    labels: {
      type: 'text',
      short: 'l',
      value: 'labels',
      help: 'labels of the service; those of the workload if left out',
    },
    'cluster-ip': { type: 'text', value: 'address', help: 'its address, or None for a headless service' },
    'external-ip': { type: 'text', value: 'address', help: 'a further address that nodes take traffic for' },
    'load-balancer-ip': { type: 'text', value: 'address', help: "the node's address that a load balancer is to have" },
    'session-affinity': {
      type: 'text',
      value: 'kind',
      choices: ['None', 'ClientIP'],
      help: 'ClientIP: one client always reaches the same pod',
    },
    'dry-run': dryRunFlag,
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'pods-and-workloads',
  async run({ flags, args, environment, target }) {
    const names = parseNames(
      args,
      kindsWith(({ ports }) => ports !== undefined, environment.kinds),
      environment.kinds,
    )
    const [named] = names
    if (named === undefined || names.length > 1)
      throw new UsageError(
        named === undefined ? 'which workload? Say TYPE/NAME' : 'one workload is exposed at a time',
        'such as deploy/web',
      )
    const dryRun = parseDryRun(flags['dry-run'])
    const format = parseFormat(flags.output)
    const namespace = await target.namespace()
    const cluster = await target.cluster()
    const exposed = exposedOf((await cluster.get(named.kind, namespace, named.name)) as AnyResource)
    const selector = flags.selector === undefined ? exposed.selector : parseLabels('--selector', flags.selector)
    if (Object.keys(selector).length === 0)
      throw new GantryError(
        'FailedPrecondition',
        `${kindWord(named.kind)}/${named.name} has no labels by which its pods could be found`,
        { details: [{ remedy: 'give --selector' }] },
      )
    const optional = (field: string, value: JsonValue | undefined): JsonObject =>
      value === undefined ? {} : { [field]: value }
    const externalIP = flags['external-ip']
    const draft = decodeJson('Service', {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: flags.name ?? named.name,
        namespace,
        labels: flags.labels === undefined ? exposed.labels : parseLabels('--labels', flags.labels),
      },
      spec: {
        type: flags.type,
        selector,
        ports: portsOf(flags, exposed),
        ...optional('clusterIP', flags['cluster-ip']),
        ...optional('externalIPs', externalIP === undefined ? undefined : [externalIP]),
        ...optional('loadBalancerIP', flags['load-balancer-ip']),
        ...optional('sessionAffinity', flags['session-affinity']),
      },
    })
    const service = dryRun === 'client' ? draft : await cluster.create(draft, { dryRun: dryRun === 'server' })
    environment.stdout.write(
      format.is === 'table'
        ? `service/${service.metadata.name} exposed${dryRunNote(dryRun)}\n`
        : await formatObjects(format, [service], true),
    )
    return EXIT.ok
  },
})

/** One port as the flags say, or all that the workload names. */
function portsOf(
  {
    port,
    protocol,
    'target-port': target,
    'cluster-ip': address,
  }: {
    port: number | undefined
    protocol: string | undefined
    'target-port': string | undefined
    'cluster-ip': string | undefined
  },
  { ports }: Exposed,
): JsonObject[] {
  if (port !== undefined)
    return [{ port, protocol: protocol ?? 'TCP', targetPort: target === undefined ? port : portValue(target) }]
  const meant = ports.filter((candidate) => protocol === undefined || candidate.protocol === protocol)
  if (meant.length === 0 && address !== 'None')
    throw new UsageError('which port? Say --port=PORT', 'the containers name none')
  if (meant.length > 1 && target !== undefined)
    throw new UsageError('--target-port goes with one port', 'say which with --port')
  return meant.map(({ port: number, protocol: spoken, name }, index) => ({
    port: number,
    protocol: spoken,
    targetPort: target === undefined ? number : portValue(target),
    ...(meant.length === 1 ? {} : { name: name === '' ? `port-${index + 1}` : name }),
  }))
}

function exposedOf(object: AnyResource): Exposed {
  const { pods, ports } = recordOf(object.kind)
  const { matchLabels = {}, matchExpressions = [] } = pods?.selector(object) ?? {}
  if (matchExpressions.length > 0)
    throw new GantryError(
      'FailedPrecondition',
      `${wordOf(object)} chooses its pods by expressions, which a service cannot`,
      { details: [{ remedy: 'give --selector with labels that all its pods have' }] },
    )
  return { selector: matchLabels, labels: object.metadata.labels ?? {}, ports: ports?.(object) ?? [] }
}

function parseLabels(flag: string, text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const at = pair.indexOf('=')
      if (at <= 0) throw new UsageError(`${flag}: "${pair}" is not KEY=VALUE`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
