import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { cpuFault, memoryFault, readMemory } from '../../deploy/rig/faults/pressure.ts'
import { until } from '../eventually.ts'
import { TinyRig } from './tiny-rig.ts'

const MI = 1024 * 1024
const UNIFIED = existsSync('/sys/fs/cgroup/cgroup.controllers')

describe('the faults "memory" and "cpu"', function () {
  this.timeout(60_000)
  let rig: TinyRig

  before(async () => {
    rig = await TinyRig.start([memoryFault, cpuFault], {
      n1: { role: 'node', index: 11, memoryBytes: 192 * MI, cpus: 0.5 },
    })
  })
  after(() => rig.stop())
  afterEach(() => rig.engine.heal())

  /** Of the machine's whole group: bytes of memory, microseconds of processors. */
  function usage(): { bytes: number; micros: number } {
    const read = (hierarchy: string, file: string): string =>
      readFileSync(`/sys/fs/cgroup/${hierarchy}/gantry-rig/${rig.rig}/n1/${file}`, 'utf8')
    return UNIFIED
      ? {
          bytes: Number(read('.', 'memory.current')),
          micros: Number(/^usage_usec (\d+)$/m.exec(read('.', 'cpu.stat'))![1]),
        }
      : {
          bytes: Number(read('memory', 'memory.usage_in_bytes')),
          micros: Number(read('cpuacct', 'cpuacct.usage')) / 1000,
        }
  }

  it("takes memory in the machine's group, and gives it back", async () => {
    const before = usage().bytes
    await rig.engine.begin('memory', { machines: ['n1'], bytes: 64 * MI })
    const taken = usage().bytes - before
    assert(taken >= 64 * MI && taken < 190 * MI, `${taken} bytes more`)
    await rig.engine.heal()
    await until('given back', () => usage().bytes - before < 32 * MI)
  })

  it("fails where the machine's limit is in the way, and takes nothing", async () => {
    await assert.rejects(rig.engine.begin('memory', { machines: ['n1'], bytes: 512 * MI }), {
      message: /n1: the kernel gave no 536870912 bytes: the process that took them ended with SIGKILL/,
    })
    assert.deepEqual(await rig.engine.inForce(), [])
    assert.equal(await rig.ask('n1', 'sh', '-c', 'ps ax | grep [g]antry-fault'), '')
  })

  it("keeps processors busy within the machine's limit", async () => {
    await rig.engine.begin('cpu', { machines: ['n1'], processes: 2 })
    const [begun, before] = [performance.now(), usage().micros]
    await until('300 ms of a processor', () => usage().micros - before > 300_000)
    const share = (usage().micros - before) / 1000 / (performance.now() - begun)
    assert(share < 0.75, `${share} of a processor, with half of one allowed`)
    await rig.engine.heal()
    assert.equal(await rig.ask('n1', 'sh', '-c', 'ps ax | grep [g]antry-fault'), '')
  })

  it('refuses nothing at all', async () => {
    await assert.rejects(rig.engine.begin('memory', { machines: ['n1'], bytes: 0 }), {
      code: 'InvalidArgument',
      message: /nothing is taken/,
    })
    await assert.rejects(rig.engine.begin('cpu', { machines: ['n1'], processes: 0 }), {
      code: 'InvalidArgument',
      message: /nothing is busy/,
    })
  })
})

describe('the fault "memory" without a limit', function () {
  this.timeout(60_000)
  let rig: TinyRig
  before(async () => {
    rig = await TinyRig.start([memoryFault], { n1: { role: 'node', index: 11 }, n2: { role: 'node', index: 12 } })
  })
  after(() => rig.stop())

  it('refuses what the host cannot give, with the reckoning', async () => {
    const { total, available } = readMemory(readFileSync('/proc/meminfo', 'utf8'))
    assert(total > available && available > 0)
    await assert.rejects(rig.engine.begin('memory', { machines: ['nodes'], bytes: Math.floor(available * 0.51) }), {
      code: 'ResourceExhausted',
      message: /^the 2 machines together need \d+Mi; the host has \d+Mi available and keeps \d+Mi, which leaves \d+Mi$/,
    })
    assert.deepEqual(await rig.engine.inForce(), [])
  })
})
