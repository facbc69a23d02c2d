/**
 * A machine's own disk full, read-only or slow. Where several faults are on one disk, the strictest holds; what remains
 * of them holds when one ends.
 */
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine, MachineDisk } from '../contract.ts'
import { defineFault, type FaultContext, type Values } from './contract.ts'
import { findMachine } from './powered-off.ts'

const parameters = {
  machines: { type: 'machines', required: true, operand: 0, says: 'whose disks' },
  mode: { type: 'choice', choices: ['full', 'read-only', 'slow'], required: true, operand: 1, says: 'how it fails' },
  free: { type: 'size', says: 'full: bytes that are left; none unless given' },
  rate: { type: 'rate', says: 'slow: bytes a second, read and written past the page cache' },
} as const
type DiskValues = Values<typeof parameters>

export const diskFault = defineFault({
  kind: 'disk',
  says: "let machines' disks be full, read-only or slow",
  parameters,
  examples: [
    'disk n1 full --for 30s',
    'disk n1 full --free 1Mi',
    'disk controller slow --rate 1Mi',
    'disk n2 read-only',
  ],
  describe: ({ machines, mode, free, rate }) =>
    `the disk of ${machines.join(', ')} ${mode}${free === undefined ? '' : `, ${free} bytes left`}${rate === undefined ? '' : `, ${rate} bytes/s`}`,

  async begin(field, values, { record }) {
    check(values)
    const machines = values.machines.map((name) => field.machine(name))
    for (const machine of machines) await requireDisk(field, machine, values.mode)
    const undo = { disks: [...values.machines] }
    await record(undo)
    for (const machine of machines) await settle(field, machine, values.mode, [values])
    return {
      undo,
      ...(values.mode === 'read-only'
        ? { note: 'where a program had a file open for writing, only a restart of its machine ends it' }
        : {}),
    }
  },

  async end(field, undo, values) {
    for (const name of (undo as { disks: string[] }).disks) {
      const machine = findMachine(field, name)
      if (machine?.disk === undefined) continue
      if (values.mode === 'read-only') await makeWritable(field, machine, machine.disk)
      else await settle(field, machine, values.mode)
    }
  },

  async renew(field, undo, values, machine) {
    if (values.machines.includes(machine.spec.name)) await settle(field, machine, values.mode, [values])
    return undo
  },
})

function check({ mode, free, rate }: DiskValues): void {
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new GantryError('InvalidArgument', message, { details: [{ field, message, remedy }] })
  }
  if (mode === 'slow' && rate === undefined) refuse('rate', 'slow needs a rate', 'such as --rate 1Mi')
  if (mode !== 'slow' && rate !== undefined) refuse('rate', `${mode} takes no rate`, 'leave it out, or use slow')
  if (mode !== 'full' && free !== undefined) refuse('free', `${mode} leaves no bytes free`, 'leave it out, or use full')
}

async function requireDisk(field: FaultContext, machine: Machine, mode: string): Promise<void> {
  const { name } = machine.spec
  if (machine.disk === undefined || !field.driver.capabilities.ownDisk) {
    throw new GantryError(
      'FailedPrecondition',
      `${name} has no disk of its own: machines of the ${field.driver.name} driver share that of the host`,
      { details: [{ field: 'machines', value: name, remedy: 'use the namespaces driver' }] },
    )
  }
  if ((await machine.state()) === 'off')
    throw new GantryError('FailedPrecondition', `${name} is off`, {
      details: [{ field: 'machines', value: name, remedy: `start ${name} first` }],
    })
  if (mode === 'full' && wishes(field, machine, 'read-only').length > 0)
    throw new GantryError('FailedPrecondition', `the disk of ${name} is read-only: it cannot be filled`, {
      details: [{ field: 'mode', value: mode, remedy: 'heal that first' }],
    })
}

/** What faults of this mode want of the machine's disk. */
function wishes({ others }: FaultContext, { spec }: Machine, mode: string): DiskValues[] {
  return others
    .filter(({ kind }) => kind === 'disk')
    .map(({ values }) => values as unknown as DiskValues)
    .filter((values) => values.mode === mode && values.machines.includes(spec.name))
}

/**
 * Makes a disk what the faults of this mode want of it together, `also` among them; without any, as it is without
 * faults.
 */
async function settle(
  field: FaultContext,
  machine: Machine,
  mode: string,
  also: readonly DiskValues[] = [],
): Promise<void> {
  const { disk } = machine
  if (disk === undefined) return
  const wanted = [...wishes(field, machine, mode), ...also]
  switch (mode) {
    case 'full': {
      // Nothing can be changed on a read-only disk: when it is writable again, this is done again. Neither can a disk
      // be filled that is off.
      if (wishes(field, machine, 'read-only').length > 0) return
      if (wanted.length === 0) return disk.release()
      return (await machine.state()) === 'off' ? undefined : disk.fill(Math.min(...wanted.map(({ free }) => free ?? 0)))
    }
    case 'read-only':
      return disk.setReadOnly(wanted.length > 0)
    default:
      return disk.throttle(wanted.length === 0 ? undefined : Math.min(...wanted.map(({ rate }) => rate!)))
  }
}

/**
 * Ends a read-only disk, unless another fault wants it so. If that took a restart of the machine, the faults that lived
 * on it are made so again.
 */
async function makeWritable(field: FaultContext, machine: Machine, disk: MachineDisk): Promise<void> {
  if (wishes(field, machine, 'read-only').length > 0) return
  // A restart empties the directory.
  const mark = join(machine.spec.runDir, 'before-restart')
  const wasOff = (await machine.state()) === 'off'
  if (!wasOff) await machine.run(['touch', mark])
  await disk.setReadOnly(false)
  if (!wasOff) {
    const { stdout } = await machine.run(['sh', '-c', '[ ! -e "$1" ] || { rm "$1"; echo there; }', 'sh', mark])
    if (stdout === '' && field.others.length > 0) {
      await machine.kill()
      await field.start(machine)
    }
  }
  await settle(field, machine, 'full')
}
