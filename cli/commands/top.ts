/** `gantry top`: what nodes and pods use at this moment. */
import { quantityMillis, quantityValue } from '../../proto/base/quantity.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Node, NodeUsage, Usage } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { kindOf } from '../../proto/client/operands.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'

interface Row {
  readonly cells: readonly string[]
  readonly cpu: number
  readonly memory: number
  /** Behind each of the two amounts. */
  readonly shares?: readonly [cpu: string, memory: string]
}

export default defineCommand({
  usage: '(nodes | pods) [NAME] [flags]',
  summary: 'show what nodes and pods use',
  description:
    'Shows cpu, as an average over a moment, and memory that cannot simply be taken back, as the nodes measure them now.',
  examples: ['gantry top nodes', 'gantry top pods -A --sort-by memory', 'gantry top pod web-1 --containers'],
  flags: {
    'all-namespaces': { type: 'boolean', short: 'A', help: 'pods of every namespace' },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'those with these labels' },
    containers: { type: 'boolean', help: 'each container of the pods' },
    'sort-by': { type: 'text', value: 'amount', choices: ['cpu', 'memory'], help: 'the largest first' },
    'no-headers': { type: 'boolean', help: 'rows only' },
  },
  completes: 'kinds-and-names',
  async run({ flags, args: [word, name, ...more], environment, target }) {
    const kind = word === undefined ? undefined : kindOf(word, environment.kinds)
    if (kind !== 'Node' && kind !== 'Pod') throw new UsageError('of what? Say `gantry top nodes` or `gantry top pods`')
    if (more.length > 0) throw new UsageError(`"${more[0]}" is not expected here`)
    if (name !== undefined && flags.selector !== undefined) throw new UsageError('give a name or a selector, not both')
    const cluster = await target.cluster()
    const everywhere = flags['all-namespaces'] && name === undefined
    const failures: GantryError[] = []
    const choice = { name, selector: flags.selector, namespace: everywhere ? '' : await target.namespace() }
    const rows =
      kind === 'Node'
        ? await nodeRows(cluster, choice, failures)
        : await podRows(cluster, choice, { containers: flags.containers, namespaces: everywhere }, failures)
    const by = flags['sort-by'] as 'cpu' | 'memory' | undefined
    if (by !== undefined) rows.sort((a, b) => b[by] - a[by])
    const header = [
      ...(everywhere && kind === 'Pod' ? ['NAMESPACE'] : []),
      ...(kind === 'Pod' && flags.containers ? ['POD'] : []),
      'NAME',
      'CPU(cores)',
      ...(kind === 'Node' ? ['CPU(%)'] : []),
      'MEMORY(bytes)',
      ...(kind === 'Node' ? ['MEMORY(%)'] : []),
    ]
    if (rows.length === 0 && failures.length === 0) environment.stderr.write('No resources found\n')
    else environment.stdout.write(formatTable([...(flags['no-headers'] ? [] : [header]), ...rows.map(textOf)]))
    throwFailures(failures)
    return EXIT.ok
  },
})

interface Choice {
  readonly name: string | undefined
  readonly selector: string | undefined
  readonly namespace: string
}

async function nodeRows(cluster: ClusterClient, { name, selector }: Choice, failures: GantryError[]): Promise<Row[]> {
  const nodes: Node[] =
    name !== undefined
      ? [await cluster.get('Node', '', name)]
      : (await cluster.list('Node', { namespace: '', labelSelector: selector })).items
  const usages = await usageOf(
    cluster,
    nodes.map(({ metadata }) => metadata.name),
    failures,
  )
  return nodes.flatMap(({ metadata, status: { allocatable = {} } }): Row[] => {
    const machine = usages.get(metadata.name)?.machine
    if (machine === undefined) return []
    const { cpu, memory } = amountsOf(machine)
    const share = (used: number, all: number): string => (all === 0 ? '' : `${Math.floor((used * 100) / all)}%`)
    return [
      {
        cells: [metadata.name],
        cpu,
        memory,
        shares: [
          share(cpu, quantityMillis(allocatable.cpu ?? '0')),
          share(memory, quantityValue(allocatable.memory ?? '0')),
        ],
      },
    ]
  })
}

async function podRows(
  cluster: ClusterClient,
  { name, selector, namespace }: Choice,
  shown: { readonly containers: boolean; readonly namespaces: boolean },
  failures: GantryError[],
): Promise<Row[]> {
  const pods =
    name !== undefined
      ? [await cluster.get('Pod', namespace, name)]
      : (await cluster.list('Pod', { namespace, labelSelector: selector })).items
  const usages = await usageOf(
    cluster,
    [...new Set(pods.flatMap(({ spec: { nodeName = '' } }) => (nodeName === '' ? [] : [nodeName])))],
    failures,
  )
  return pods.flatMap(({ metadata, spec }): Row[] => {
    const used = usages.get(spec.nodeName ?? '')?.pods.find(({ uid }) => uid === metadata.uid)?.containers ?? []
    const place = shown.namespaces ? [metadata.namespace] : []
    if (shown.containers)
      return used.map((container) => ({
        cells: [...place, metadata.name, container.name],
        ...amountsOf(container.usage),
      }))
    if (used.length === 0) return []
    const all = used.map(({ usage }) => amountsOf(usage))
    return [
      {
        cells: [...place, metadata.name],
        cpu: all.reduce((sum, { cpu }) => sum + cpu, 0),
        memory: all.reduce((sum, { memory }) => sum + memory, 0),
      },
    ]
  })
}

/** By node; those that cannot be asked are told among the failures. */
async function usageOf(
  cluster: ClusterClient,
  names: readonly string[],
  failures: GantryError[],
): Promise<Map<string, NodeUsage>> {
  const answers = await mapConcurrently(names, async (name) => (await Promise.allSettled([cluster.nodeUsage(name)]))[0])
  const found = new Map<string, NodeUsage>()
  answers.forEach((answer, index) => {
    if (answer.status === 'fulfilled') found.set(names[index]!, answer.value)
    else failures.push(GantryError.from(answer.reason))
  })
  return found
}

/** cpu in thousandths of a core, memory in bytes. */
function amountsOf(used: Usage | undefined): { cpu: number; memory: number } {
  return { cpu: Math.ceil((used?.cpuNanosPerSecond ?? 0) / 1e6), memory: used?.memoryBytes ?? 0 }
}

function textOf({ cells, cpu, memory, shares }: Row): string[] {
  return [
    ...cells,
    `${cpu}m`,
    ...(shares === undefined ? [] : [shares[0]]),
    `${Math.floor(memory / 2 ** 20)}Mi`,
    ...(shares === undefined ? [] : [shares[1]]),
  ]
}
