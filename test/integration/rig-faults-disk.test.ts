import assert from 'node:assert/strict'
import { join } from 'node:path'
import { cpuFault } from '../../deploy/rig/faults/pressure.ts'
import { diskFault } from '../../deploy/rig/faults/disk.ts'
import { until } from '../eventually.ts'
import { TinyRig } from './tiny-rig.ts'

const MI = 1024 * 1024

describe('the fault "disk"', function () {
  this.timeout(60_000)
  let rig: TinyRig
  let file: string

  before(async () => {
    rig = await TinyRig.start([diskFault, cpuFault], { n1: { role: 'node', index: 11 } })
    file = join(rig.machine('n1').spec.stateDir, 'file')
  })
  after(() => rig.stop())
  afterEach(async () => {
    await rig.engine.heal()
    await rig.engine.start('n1')
    await rig.ask('n1', 'rm', '-f', file)
  })

  /** What came of writing so many MiB past the page cache: "" or the error, and seconds. */
  async function write(mebibytes: number): Promise<{ said: string; seconds: number }> {
    const begun = performance.now()
    const said = await rig.ask(
      'n1',
      'sh',
      '-c',
      `dd if=/dev/zero of=${file} bs=1M count=${mebibytes} oflag=direct conv=fsync 2>&1 | grep -o "No space left.*\\|Read-only file.*"`,
    )
    return { said, seconds: (performance.now() - begun) / 1000 }
  }

  it('is full but for what is to be left', async () => {
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'full', free: 4 * MI })
    assert.equal((await write(2)).said, '')
    assert.equal((await write(8)).said, 'No space left on device')
    await rig.engine.heal()
    assert.equal((await write(8)).said, '')
  })

  it('stays as full as another fault wants it', async () => {
    const { id } = await rig.engine.begin('disk', { machines: ['n1'], mode: 'full' })
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'full', free: 16 * MI })
    assert.equal((await write(1)).said, 'No space left on device')
    await rig.engine.heal([id])
    assert.equal((await write(12)).said, '')
    assert.equal((await write(20)).said, 'No space left on device')
  })

  it('is read-only, also where a program holds a file open for writing', async () => {
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'read-only' })
    assert.equal((await write(1)).said, 'Read-only file system')
    await rig.engine.heal()
    assert.equal((await write(1)).said, '')
    await rig.begin('n1', 'sh', '-c', `exec 3>${file}.open; echo open; exec sleep infinity`)
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'read-only' })
    assert.equal((await write(1)).said, 'Read-only file system')
  })

  it('has the other faults of a machine in force again when it took a restart to make its disk writable', async () => {
    await rig.begin('n1', 'sh', '-c', `exec 3>${file}.open; echo open; exec sleep infinity`)
    const { id } = await rig.engine.begin('disk', { machines: ['n1'], mode: 'read-only' })
    await rig.engine.begin('cpu', { machines: ['n1'], processes: 1 })
    await rig.engine.heal([id])
    assert.equal((await write(1)).said, '')
    assert.notEqual(await rig.ask('n1', 'sh', '-c', 'ps ax | grep [g]antry-fault'), '')
  })

  it('is no longer full when what made it so ended while it was read-only', async () => {
    const full = await rig.engine.begin('disk', { machines: ['n1'], mode: 'full' })
    const readOnly = await rig.engine.begin('disk', { machines: ['n1'], mode: 'read-only' })
    await assert.rejects(rig.engine.begin('disk', { machines: ['n1'], mode: 'full' }), {
      code: 'FailedPrecondition',
      message: /the disk of n1 is read-only/,
    })
    await rig.engine.heal([full.id])
    await rig.engine.heal([readOnly.id])
    assert.equal((await write(8)).said, '')
  })

  it('is slow', async () => {
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'slow', rate: 4 * MI })
    const slow = await write(6)
    assert(slow.said === '' && slow.seconds > 1, `${slow.seconds} s for 6 MiB`)
    await rig.engine.heal()
    await until('6 MiB are written sooner than a slow disk can', async () => (await write(6)).seconds < 1)
  })

  it('is as it was after a fault that ended while its machine was off', async () => {
    await rig.engine.begin('disk', { machines: ['n1'], mode: 'full' })
    await rig.machine('n1').kill()
    await rig.engine.heal()
    await rig.engine.start('n1')
    assert.equal((await write(8)).said, '')
  })

  it('refuses what does not go together', async () => {
    const begin = (given: Record<string, unknown>) => () => rig.engine.begin('disk', { machines: ['n1'], ...given })
    await assert.rejects(begin({ mode: 'slow' }), { code: 'InvalidArgument', message: /slow needs a rate/ })
    await assert.rejects(begin({ mode: 'full', rate: 5 }), { code: 'InvalidArgument', message: /full takes no rate/ })
    await assert.rejects(begin({ mode: 'read-only', free: 5 }), {
      code: 'InvalidArgument',
      message: /read-only leaves no bytes free/,
    })
  })
})
