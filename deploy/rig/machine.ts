/**
 * One machine of a rig: a process tree in its own PID, network, mount, UTS and IPC namespaces and its own cgroup subtree, whose init keeps one
 * program running. Ending the init ends everything on it.
 */
import { spawn } from 'node:child_process'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { delay, systemClock } from '../../proto/base/clock.ts'
import { joinCgroup } from './cgroup-tree.ts'
import { plugIn, type RigNetwork } from './host-network.ts'
import { identify, isAlive, readProcess, type ProcessIdentity } from '../../proto/base/process.ts'

export interface MachineSpec {
  readonly name: string
  /** IPv4 address in the rig's network. */
  readonly address: string
  /** The host's end of its network cable, at most 15 characters. */
  readonly cable: string
  /** Below each hierarchy's root, e.g. "gantry-rig/default/n1". */
  readonly cgroup: string
  /** What its program prints. */
  readonly log: string
  readonly command: readonly string[]
}

export interface MachineRecord {
  readonly spec: MachineSpec
  /** `unshare`, which holds the namespaces' init as its child and takes it along when it ends. */
  readonly holder: ProcessIdentity
  /** The machine's init, by its pid on the host. */
  readonly init: ProcessIdentity
}

/**
 * Starts a machine and plugs it in. `init` is the path of machine-init. Its program starts only once `record` has written the machine down:
 * an init whose maker dies before that ends by itself.
 */
export async function startMachine(spec: MachineSpec, network: RigNetwork, init: string, record: (machine: MachineRecord) => Promise<void>): Promise<void> {
  await mkdir(dirname(spec.log), { recursive: true })
  const log = await open(spec.log, 'a')
  const holder = spawn('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', '--net', '--uts', '--ipc', '--mount', init, spec.name, spec.log, ...spec.command], {
    detached: true, stdio: ['pipe', log.fd, log.fd],
  })
  try {
    const pid = await childOf(holder.pid!, () => holder.exitCode !== null)
    await joinCgroup(`${spec.cgroup}/system`, pid)
    await plugIn(network, spec.cable, spec.address, pid)
    const identities = [identify(holder.pid!), identify(pid)]
    if (identities.includes(undefined)) throw new Error('it ended at once')
    await record({ spec, holder: identities[0]!, init: identities[1]! })
    holder.stdin!.end('go\n')
  } catch (cause) {
    holder.kill('SIGKILL')
    const tail = (await readFile(spec.log, 'utf8')).trim().split('\n').slice(-5).join('\n')
    throw new Error(`machine ${spec.name} did not start: ${(cause as Error).message}${tail === '' ? '' : `\n${tail}`}`, { cause })
  } finally {
    await log.close()
    holder.unref()
  }
}

/** The only child of a process that has just been started, as soon as it is there. */
async function childOf(pid: number, ended: () => boolean): Promise<number> {
  const deadline = systemClock.monotonic() + 5_000
  while (systemClock.monotonic() < deadline && !ended()) {
    const children = readProcess(pid, `task/${pid}/children`)?.trim() ?? ''
    if (children !== '') return Number(children.split(' ')[0])
    await delay(systemClock, 1)
  }
  throw new Error('its namespaces could not be made')
}

/** Ends a machine and everything on it; resolves when its processes are gone. */
export async function endMachine(machine: MachineRecord, timeout = 5_000): Promise<void> {
  for (const identity of [machine.holder, machine.init]) if (isAlive(identity)) process.kill(identity.pid, 'SIGKILL')
  const deadline = systemClock.monotonic() + timeout
  while (isAlive(machine.init)) {
    if (systemClock.monotonic() > deadline) throw new Error(`machine ${machine.spec.name} (pid ${machine.init.pid}) does not end`)
    await delay(systemClock, 5)
  }
}
