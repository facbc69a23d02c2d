/**
 * The part of the drivers' suite for those with the capabilities ownDisk and powerLoss: what a program on the machine
 * sees of a full, read-only or slow disk, and of power lost.
 */
import assert from 'node:assert/strict'
import type { Machine, MachineDisk } from '../../deploy/rig/contract.ts'
import { eventually, until } from '../eventually.ts'
import { beating, Bench, rigName, textOn, type DriverSubject } from './rig-driver-bench.ts'

const MEBI = 2 ** 20
const ANY = [0, 1, 2]

export function driverDisks(name: string, make: () => Promise<DriverSubject>): void {
  describe(`disks of the rig driver: ${name}`, function () {
    this.timeout(120_000)
    let subject: DriverSubject
    let bench: Bench
    let machine: Machine
    let disk: MachineDisk

    before(async () => {
      subject = await make()
      bench = new Bench(subject, rigName('d'))
      await bench.createNetwork()
      machine = await bench.start(bench.spec(1, { diskBytes: 256 * MEBI }))
      assert.equal(machine.disk !== undefined, bench.driver.capabilities.ownDisk)
      disk = machine.disk!
      await beating(machine, 1)
    })

    after(async () => {
      if (subject === undefined) return
      await bench.remove()
      await subject.cleanUp()
    })

    const state = (file: string): string => `${machine.spec.stateDir}/${file}`
    const starts = async (): Promise<number> => (await textOn(machine, state('starts'))).split('\n').length - 1
    const free = async (): Promise<number> =>
      Number((await machine.run(['sh', '-c', 'echo $(($(stat -f -c "%a * %S" "$0")))', machine.spec.stateDir])).stdout)
    /** Writes and syncs so many MiB; the exit code of dd. */
    const write = async (file: string, mebibytes: number): Promise<number> =>
      (
        await machine.run(['dd', 'if=/dev/zero', `of=${state(file)}`, 'bs=1M', `count=${mebibytes}`, 'conv=fsync'], {
          allow: ANY,
        })
      ).code
    const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
      const begun = performance.now()
      await work()
      return performance.now() - begun
    }
    /** A throttled disk never is, however often it is tried. */
    const fast = (file: string): Promise<void> =>
      until('4 MiB are written within 700 ms', async () => (await elapsed(() => write(file, 4))) < 700)

    it('has its size', async () => {
      const size = Number(
        (await machine.run(['sh', '-c', 'echo $(($(stat -f -c "%b * %S" "$0")))', machine.spec.stateDir])).stdout,
      )
      assert.ok(size > 180 * MEBI && size <= 256 * MEBI, String(size))
    })

    it('is full when it is filled, also after a restart, and has its space back', async () => {
      const before = await free()
      await disk.fill(2 * MEBI)
      assert.ok((await free()) <= 2 * MEBI, String(await free()))
      assert.equal(await write('small', 1), 0)
      assert.equal(await write('large', 4), 1)
      await machine.run(['rm', state('small'), state('large')])
      await disk.fill(8 * MEBI)
      const left = await free()
      assert.ok(left <= 8 * MEBI && left > 6 * MEBI, String(left))
      await disk.fill(0)
      assert.equal(await free(), 0)
      const times = await starts()
      await machine.kill()
      await machine.start()
      disk = machine.disk!
      await eventually(async () => (await machine.state()) === 'running')
      assert.ok((await free()) <= MEBI)
      await disk.release()
      await disk.release()
      assert.ok(Math.abs((await free()) - before) < 8 * MEBI)
      assert.equal(await write('large', 4), 0)
      assert.ok((await starts()) >= times)
    })

    it('is read-only when nobody writes, and writable again in place', async () => {
      await machine.run(['sh', '-c', 'touch "$0"', `${machine.spec.runDir}/hold-agent`])
      const times = await starts()
      await disk.setReadOnly(true)
      const refused = await machine.run(['sh', '-c', 'LC_ALL=C touch "$0"', state('new')], { allow: [1] })
      assert.match(refused.stderr, /Read-only file system/)
      assert.equal(await textOn(machine, state('seed')), 'seed')
      await disk.setReadOnly(false)
      await machine.run(['touch', state('new')])
      assert.equal(await starts(), times)
      await machine.run(['rm', `${machine.spec.runDir}/hold-agent`])
    })

    it('is read-only while a file is open for writing, and writable again', async () => {
      await machine.startProgram([
        'sh',
        '-c',
        'exec 3>> "$0/open"; while :; do echo line >&3 || echo refused >> "$1/refused"; sleep 0.02; done',
        machine.spec.stateDir,
        machine.spec.runDir,
      ])
      await eventually(async () => (await textOn(machine, state('open'))).includes('line'))
      await disk.setReadOnly(true)
      await eventually(async () => (await textOn(machine, `${machine.spec.runDir}/refused`)).includes('refused'))
      assert.equal((await machine.run(['touch', state('other')], { allow: ANY })).code, 1)
      await disk.setReadOnly(false)
      machine = bench.machine('n1')
      disk = machine.disk!
      await machine.run(['touch', state('other')])
      assert.match(await textOn(machine, state('open')), /^line\n/)
      assert.equal(await textOn(machine, state('seed')), 'seed')
    })

    it('is slow when it is throttled, also after a restart, and fast again', async () => {
      await disk.throttle(4 * MEBI)
      assert.ok((await elapsed(() => write('slow', 4))) > 700)
      await machine.kill()
      await machine.start()
      assert.ok((await elapsed(() => write('slow', 4))) > 700)
      await machine.disk!.throttle(undefined)
      await fast('slow')
    })

    it('loses what was not synced when power goes, and nothing else', async () => {
      await machine.run([
        'sh',
        '-c',
        'echo synced > "$0" && sync "$0" "${0%/*}" && echo lost > "$1"',
        state('synced'),
        state('unsynced'),
      ])
      await machine.powerOff()
      await machine.powerOff()
      assert.equal(await machine.state(), 'off')
      await machine.start()
      assert.equal(await textOn(machine, state('synced')), 'synced\n')
      assert.equal(await textOn(machine, state('unsynced')), '')
      await machine.run(['touch', state('unsynced')])
    })

    it('can be healed while the machine is off', async () => {
      await disk.fill(MEBI)
      await machine.disk!.throttle(MEBI)
      await machine.kill()
      await machine.disk!.release()
      await machine.disk!.throttle(undefined)
      await machine.disk!.setReadOnly(false)
      await assert.rejects(machine.disk!.fill(0), { code: 'FailedPrecondition' })
      await machine.start()
      assert.ok((await free()) > 32 * MEBI)
      await fast('fast')
    })
  })
}
