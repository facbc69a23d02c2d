import assert from 'node:assert/strict'
import { checkOptionsOf, patienceOf } from '../../../deploy/rig/wait-options.ts'
import { Rig } from '../../../deploy/rig/index.ts'
import { RigMachine } from '../../../deploy/rig/rig-machine.ts'
import { checkOf } from '../../../deploy/rig/until.ts'
import { GantryError } from '../../../proto/base/errors.ts'

function refused(call: () => unknown, message: RegExp): void {
  assert.throws(
    call,
    (error) =>
      GantryError.is(error, 'InvalidArgument') &&
      message.test(`${error.message} ${error.details.map(({ remedy }) => remedy).join(' ')}`),
  )
}

describe('options of the TypeScript API', () => {
  it('say how long by within, in milliseconds or with a unit, or by timeout', () => {
    assert.deepEqual([patienceOf('until', undefined), patienceOf('until', {})], [60_000, 60_000])
    assert.deepEqual(
      [
        patienceOf('until', { within: 500 }),
        patienceOf('until', { within: '30s' }),
        patienceOf('until', { timeout: 70 }),
      ],
      [500, 30_000, 70],
    )
    refused(() => patienceOf('until', { within: 1, timeout: 1 }), /within and timeout are the same/)
    refused(
      () => patienceOf('until', { within: '30' }),
      /a number of milliseconds, or text with a unit such as "30s", not "30"/,
    )
    refused(() => patienceOf('until', { within: 'soon' }), /until: within: "soon" is not a length of time/)
    refused(() => patienceOf('until', { within: -1 }), /not -1/)
  })

  it('are refused where the call does not know them', () => {
    refused(
      () => patienceOf('until', { withn: 5 } as never, ['namespace']),
      /until: there is no option "withn"; did you mean within\? it has within, timeout, namespace/,
    )
    refused(() => patienceOf('eventually', 5_000 as never), /eventually: options are an object, not 5000/)
    refused(() => checkOptionsOf('removeNode', { force: true }, ['now']), /there is no option "force" it has now/)
    refused(() => checkOf(5 as never), /what is waited for is text/)
  })

  it('are refused by a machine that is to run a command, before it runs', async () => {
    const open = (): never => assert.fail('the machine was asked')
    const machine = new RigMachine({ name: 'n1', role: 'node', address: '10.0.0.1' }, open, {} as never)
    await assert.rejects(machine.run(['true'], { within: 5 } as never), /run: there is no option "within"/)
  })

  it('are looked at before a rig is made', async () => {
    await assert.rejects(Rig.up({ node: 1 } as never), /Rig\.up: there is no option "node"; did you mean nodes\?/)
  })
})
