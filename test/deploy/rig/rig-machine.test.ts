import assert from 'node:assert/strict'
import type { Machine } from '../../../deploy/rig/contract.ts'
import { Fault, RigMachine, type Faults } from '../../../deploy/rig/rig-machine.ts'
import type { FaultRecord } from '../../../deploy/rig/faults/contract.ts'

describe("a rig's machine", () => {
  const begun: unknown[] = []
  const rig: Faults = {
    fault: (kind, values, options) => {
      begun.push([kind, values, options])
      return Promise.resolve(new Fault({ id: 'f1' } as FaultRecord, rig))
    },
    heal: () => Promise.resolve([]),
    faults: () => Promise.resolve([]),
    startMachine: () => Promise.resolve(),
  }
  const machine = new RigMachine(
    { name: 'n2', role: 'node', address: '10.0.0.2' },
    () => Promise.reject<Machine>(new Error('not opened')),
    rig,
  )

  const cases: [string, () => Promise<Fault>, unknown[]][] = [
    ['kill', () => machine.kill({ for: 5 }), ['kill', { target: 'n2' }, { for: 5 }]],
    ['power-off', () => machine.powerOff(), ['power-off', { machine: 'n2' }, {}]],
    ['a program killed', () => machine.program('agent').kill(), ['kill', { target: 'n2/agent' }, {}]],
    ['a shim stopped', () => machine.shim('web-1').stop(), ['stop', { target: 'n2/shim:web-1' }, {}]],
    [
      'its disk',
      () => machine.fault('disk', { mode: 'full' }, { for: 9 }),
      ['disk', { machines: ['n2'], mode: 'full' }, { for: 9 }],
    ],
    ['its clock', () => machine.fault('clock', { offset: 1000 }), ['clock', { target: 'n2', offset: 1000 }, {}]],
    ['a reboot', () => machine.fault('reboot'), ['reboot', { machine: 'n2' }, {}]],
    ['a kind that there is not, for the engine to refuse', () => machine.fault('flood'), ['flood', {}, {}]],
  ]
  for (const [what, begin, expected] of cases) {
    it(`begins faults by its name: ${what}`, async () => {
      begun.length = 0
      await begin()
      assert.deepEqual(begun, [expected])
    })
  }
})
