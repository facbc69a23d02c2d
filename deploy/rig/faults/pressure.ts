/** Memory and processor time that are taken, on machines and within their limits. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine } from '../contract.ts'
import { defineFault, type FaultContext, type Values } from './contract.ts'
import { endPrograms, renewPrograms, startPrograms, type FaultProgramSpec } from './fault-program.ts'

const MI = 1024 * 1024
/** Of the host's memory, what is left to it whatever is asked for: bytes, and share of all there is. */
const RESERVE = 512 * MI
const RESERVE_SHARE = 0.05
/** Bytes of the process that takes the memory, beside what it takes. */
const OVERHEAD = 64 * MI
/** Milliseconds that taking a MiB may last: a host under pressure is slow. */
const MILLIS_A_MI = 10

const machines = { type: 'machines', required: true, operand: 0, says: 'where' } as const
const memory = {
  machines,
  bytes: { type: 'size', required: true, operand: 1, says: 'bytes taken on each, every page written' },
} as const
const cpu = {
  machines,
  processes: { type: 'count', operand: 1, says: 'busy threads on each; as many as it has processors unless given' },
} as const

export const memoryFault = defineFault({
  kind: 'memory',
  says: "take memory on machines, within the machine's limit",
  parameters: memory,
  examples: ['memory n1 512Mi --for 30s', 'memory nodes 256Mi'],
  describe: (values) => `${values.bytes} bytes of memory taken on ${values.machines.join(', ')}`,

  async begin(field, values, { id, record }) {
    if (values.bytes === 0)
      throw new GantryError('InvalidArgument', 'nothing is taken', {
        details: [{ field: 'bytes', value: '0', remedy: 'such as 512Mi' }],
      })
    const wanted = hogs(field, values)
    await checkHost(
      wanted.map(({ machine }) => machine),
      values.bytes,
    )
    return {
      undo: await startPrograms(field, id, wanted, record),
      note: 'by a process on each machine, in its control group',
    }
  },

  end: (field, undo) => endPrograms(field, undo),

  async renew(field, undo, values, machine) {
    if (values.machines.includes(machine.spec.name)) await checkHost([machine], values.bytes)
    return renewPrograms(field, undo, hogs(field, values), machine)
  },
})

export const cpuFault = defineFault({
  kind: 'cpu',
  says: "keep processors of machines busy, within the machine's limit",
  parameters: cpu,
  examples: ['cpu n1 --for 30s', 'cpu nodes 2'],
  describe: (values) =>
    `${values.processes === undefined ? 'every processor' : `${values.processes} processors`} busy on ${values.machines.join(', ')}`,

  async begin(field, values, { id, record }) {
    if (values.processes === 0)
      throw new GantryError('InvalidArgument', 'nothing is busy', {
        details: [{ field: 'processes', value: '0', remedy: 'at least 1' }],
      })
    return {
      undo: await startPrograms(field, id, spinners(field, values), record),
      note: 'by threads of one process on each machine, in its control group',
    }
  },

  end: (field, undo) => endPrograms(field, undo),

  renew: (field, undo, values, machine) => renewPrograms(field, undo, spinners(field, values), machine),
})

function chosen(field: FaultContext, names: readonly string[]): Machine[] {
  return field.machines.filter(({ spec }) => names.includes(spec.name))
}

function hogs(field: FaultContext, { machines: names, bytes }: Values<typeof memory>): FaultProgramSpec[] {
  return chosen(field, names).map((machine) => ({
    machine,
    task: { mode: 'memory', bytes },
    patience: (bytes / MI) * MILLIS_A_MI,
  }))
}

function spinners(field: FaultContext, { machines: names, processes }: Values<typeof cpu>): FaultProgramSpec[] {
  return chosen(field, names).map((machine) => {
    const threads = processes ?? (machine.spec.cpus === undefined ? undefined : Math.ceil(machine.spec.cpus))
    return { machine, task: { mode: 'cpu', ...(threads === undefined ? {} : { threads }) } }
  })
}

/** ResourceExhausted, with the reckoning, for more than the host can give and still have its reserve. */
async function checkHost(on: readonly Machine[], bytes: number): Promise<void> {
  if (on.length === 0) return
  const { stdout } = await on[0]!.run(['cat', '/proc/meminfo'])
  const { total, available } = readMemory(stdout)
  // No machine takes more than its limit.
  const needed = on.reduce((sum, { spec }) => sum + Math.min(bytes + OVERHEAD, spec.memoryBytes ?? Infinity), 0)
  const reserve = Math.max(RESERVE, total * RESERVE_SHARE)
  const most = Math.max(0, available - reserve)
  if (needed <= most) return
  const mi = (value: number): string => `${Math.floor(value / MI)}Mi`
  throw new GantryError(
    'ResourceExhausted',
    `${on.length === 1 ? 'it needs' : `the ${on.length} machines together need`} ${mi(needed)}; the host has ${mi(available)} available and keeps ${mi(reserve)}, which leaves ${mi(most)}`,
    {
      details: [
        {
          field: 'bytes',
          value: String(bytes),
          remedy: `at most ${mi(Math.max(0, most / on.length - OVERHEAD))} on each of these machines, or give them a limit of memory`,
        },
      ],
    },
  )
}

/** Bytes, of proc_meminfo(5). */
export function readMemory(text: string): { total: number; available: number } {
  const field = (name: string): number => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
    if (kilobytes === undefined) throw new GantryError('Internal', `/proc/meminfo has no ${name}`)
    return Number(kilobytes) * 1024
  }
  return { total: field('MemTotal'), available: field('MemAvailable') }
}
