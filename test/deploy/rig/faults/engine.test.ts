import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../../proto/base/errors.ts'
import { defineFault, type FaultType } from '../../../../deploy/rig/faults/contract.ts'
import { FaultEngine, HISTORY } from '../../../../deploy/rig/faults/fault-engine.ts'
import { faultTypes } from '../../../../deploy/rig/faults/index.ts'
import { MemoryStage } from './memory-stage.ts'

/** Switches lamps on, each counted: what is on is what is in force. */
function lampFault(lamps: Map<string, number>, broken: Set<string>): FaultType {
  const change = (name: string, by: number): void => {
    if (broken.has(name)) throw new GantryError('Unavailable', `the lamp of ${name} is broken`)
    lamps.set(name, (lamps.get(name) ?? 0) + by)
  }
  return defineFault({
    kind: 'lamp',
    says: 'a lamp',
    parameters: { machines: { type: 'machines', required: true, operand: 0, says: 'where' } },
    examples: [],
    describe: ({ machines }) => `lamps of ${machines.join(', ')}`,
    async begin(_field, { machines }, { record }) {
      const lit: string[] = []
      for (const name of machines) {
        change(name, 1)
        lit.push(name)
        await record(lit)
      }
      return { undo: lit, note: 'lit' }
    },
    async end(_field, undo) {
      for (const name of undo as string[]) change(name, -1)
    },
  })
}

function setUp() {
  const stage = new MemoryStage()
  const lamps = new Map<string, number>()
  const broken = new Set<string>()
  const types = { ...faultTypes, lamp: lampFault(lamps, broken) }
  return { stage, lamps, broken, engine: new FaultEngine(stage, types), another: new FaultEngine(stage, types) }
}

function on(lamps: ReadonlyMap<string, number>): string[] {
  return [...lamps]
    .filter(([, count]) => count > 0)
    .map(([name]) => name)
    .sort()
}

describe('fault engine', () => {
  it('records a fault with its time, its description and its note, and ends it', async () => {
    const { stage, lamps, engine, another } = setUp()
    const fault = await engine.begin('lamp', { machines: ['n1', 'n2'] })
    assert.deepEqual(fault, {
      id: 'f1',
      kind: 'lamp',
      values: { machines: ['n1', 'n2'] },
      description: 'lamps of n1, n2',
      begun: '2026-01-01T00:00:00.000Z',
      undo: ['n1', 'n2'],
      note: 'lit',
    })
    assert.deepEqual(await engine.inForce(), [fault])
    await stage.clock.advance(1_500)
    const [ended] = await another.heal(['f1'])
    assert.equal(ended!.ended, '2026-01-01T00:00:01.500Z')
    assert.equal(ended!.undo, undefined)
    assert.deepEqual(on(lamps), [])
    assert.deepEqual(await engine.inForce(), [])
    assert.deepEqual(await engine.heal(['f1']), [], 'one that has ended is no error')
  })

  it('leaves nothing of a fault that begins on one machine and fails on the next', async () => {
    const { stage, lamps, broken, engine } = setUp()
    broken.add('n2')
    await assert.rejects(
      engine.begin('lamp', { machines: ['n1', 'n2', 'n3'] }),
      (error) => GantryError.is(error, 'Unavailable') && error.message === 'the lamp of n2 is broken',
    )
    assert.deepEqual(on(lamps), [])
    assert.deepEqual(await stage.faults(), [])
  })

  it('keeps a fault that could not be undone after it failed, and heals it later', async () => {
    const { stage, lamps, broken } = setUp()
    const type: FaultType = { ...lampFault(lamps, broken) }
    const begin = type.begin.bind(type)
    type.begin = async (...args) => {
      await begin(...args)
      broken.add('n1')
      throw new GantryError('Internal', 'too late')
    }
    const failing = new FaultEngine(stage, { lamp: type })
    await assert.rejects(
      failing.begin('lamp', { machines: 'n1' }),
      /too late; and what was begun of it could not be undone: the lamp of n1 is broken/,
    )
    const [kept] = await failing.inForce()
    assert.equal(kept!.problem, 'the lamp of n1 is broken')
    assert.equal(kept!.beginning, undefined)
    broken.clear()
    await failing.heal()
    assert.deepEqual(on(lamps), [])
  })

  it('undoes with the next command what a process that ended in the midst had begun', async () => {
    const { stage, lamps, engine, another } = setUp()
    await engine.begin('lamp', { machines: 'n1' })
    // As the record stands when the process ends between two machines.
    await stage.update((faults) => [
      ...faults,
      {
        ...faults[0]!,
        id: 'f2',
        values: { machines: ['n2', 'n3'] },
        undo: ['n2'],
        beginning: { pid: 1, startTime: 1, bootId: 'gone' },
      },
    ])
    lamps.set('n2', 1)
    await another.begin('lamp', { machines: 'n3' })
    assert.deepEqual(on(lamps), ['n1', 'n3'])
    const faults = await stage.faults()
    assert.deepEqual(
      faults.map(({ id, ended }) => [id, ended !== undefined]),
      [
        ['f1', false],
        ['f2', true],
        ['f3', false],
      ],
    )
    assert.match(faults[1]!.note!, /ended in the midst/)
  })

  it('heals all, the latest first, and goes on past one that resists', async () => {
    const { stage, lamps, broken, engine } = setUp()
    for (const machines of ['n1', 'n2', 'n3']) await engine.begin('lamp', { machines })
    broken.add('n2')
    await assert.rejects(
      engine.heal(),
      (error) =>
        GantryError.is(error, 'Unavailable') &&
        error.details[0]!.field === 'f2' &&
        /f2 \(lamps of n2\) is still in force: the lamp of n2 is broken/.test(error.message),
    )
    assert.deepEqual(on(lamps), ['n2'])
    assert.deepEqual(
      (await engine.inForce()).map(({ id, problem }) => [id, problem]),
      [['f2', 'the lamp of n2 is broken']],
    )
    broken.clear()
    assert.deepEqual(
      (await engine.heal()).map(({ id, problem }) => [id, problem]),
      [['f2', undefined]],
    )
    assert.equal((await stage.faults()).length, 3)
  })

  it('names the faults in force for an id that there never was', async () => {
    const { engine } = setUp()
    await engine.begin('lamp', { machines: 'n1' })
    await assert.rejects(
      engine.heal(['f7']),
      (error) => GantryError.is(error, 'NotFound') && error.details[0]!.remedy === 'in force: f1',
    )
    assert.equal((await engine.inForce()).length, 1)
  })

  it('sets a timer for a fault with an end, and ends it with the fault', async () => {
    const { stage, engine } = setUp()
    const fault = await engine.begin('lamp', { machines: 'n1' }, { for: 10_000 })
    assert.equal(fault.until, '2026-01-01T00:00:10.000Z')
    assert.deepEqual([...stage.timers.values()], [{ id: 'f1', millis: 10_000 }])
    await engine.heal()
    assert.equal(stage.timers.size, 0)
  })

  it('ends a fault at once that cannot be given its timer', async () => {
    const { stage, lamps, engine } = setUp()
    stage.setTimer = () => Promise.reject(new GantryError('Internal', 'no process can be started'))
    await assert.rejects(engine.begin('lamp', { machines: ['n1'] }, { for: 5_000 }), /no process can be started/)
    assert.deepEqual([on(lamps), await engine.inForce()], [[], []])
  })

  it('leaves no timer that stands in no record, as when the rig goes meanwhile', async () => {
    const { stage, engine } = setUp()
    const { setTimer } = stage
    stage.setTimer = async (...asked) => {
      const timer = await setTimer.apply(stage, asked)
      stage.update = () => Promise.reject(new GantryError('FailedPrecondition', 'the rig is being removed'))
      return timer
    }
    await assert.rejects(engine.begin('lamp', { machines: ['n1'] }, { for: 5_000 }), /the rig is being removed/)
    assert.equal(stage.timers.size, 0)
  })

  it('ends with the next command what is past its time', async () => {
    const { stage, lamps, engine } = setUp()
    await engine.begin('lamp', { machines: 'n1' }, { for: 1_000 })
    await engine.begin('lamp', { machines: 'n2' }, { for: 5_000 })
    await stage.clock.advance(1_000)
    await engine.sweep()
    assert.deepEqual(on(lamps), ['n2'])
  })

  it('begins others though one that is past its time resists', async () => {
    const { stage, lamps, broken, engine } = setUp()
    await engine.begin('lamp', { machines: 'n1' }, { for: 1_000 })
    await stage.clock.advance(1_000)
    broken.add('n1')
    await engine.begin('lamp', { machines: 'n2' })
    assert.deepEqual(on(lamps), ['n1', 'n2'])
    assert.deepEqual(
      (await engine.inForce()).map(({ problem }) => problem),
      ['the lamp of n1 is broken', undefined],
    )
    await assert.rejects(engine.sweep(), /f1 \(lamps of n1\) is still in force: the lamp of n1 is broken/)
  })

  it('refuses a length of time that is none, and one for what is over at once', async () => {
    const { stage, engine } = setUp()
    await assert.rejects(
      engine.begin('lamp', { machines: 'n1' }, { for: 0 }),
      (error) => GantryError.is(error, 'InvalidArgument') && error.details[0]!.field === 'for',
    )
    await assert.rejects(
      engine.begin('reboot', { machine: 'n1' }, { for: 1_000 }),
      /reboot is over as soon as it is done/,
    )
    assert.deepEqual(stage.machine('n1').done, [])
  })

  it('names the nearest kind', async () => {
    await assert.rejects(setUp().engine.begin('lmap', {}), /there is no fault "lmap"; did you mean "lamp"\?/)
  })

  it('keeps all in force and the latest that have ended, and never gives an id twice', async () => {
    const { stage, engine } = setUp()
    await engine.begin('lamp', { machines: 'n1' })
    const ids = new Set(['f1'])
    for (let number = 0; number < HISTORY + 10; number++) {
      const { id } = await engine.begin('lamp', { machines: 'n2' })
      assert.ok(!ids.has(id))
      ids.add(id)
      await engine.heal([id])
    }
    const faults = await stage.faults()
    assert.equal(faults.length, HISTORY + 1)
    assert.equal(faults[0]!.id, 'f1')
    assert.equal(faults.at(-1)!.id, `f${HISTORY + 11}`)
  })

  it('has in force exactly what was begun and not ended, in whatever order', async () => {
    const step = fc.oneof(
      fc.record({
        begin: fc.subarray(['n1', 'n2', 'n3'], { minLength: 1 }),
        seconds: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
      }),
      fc.record({ heal: fc.nat(20) }),
      fc.record({ pass: fc.integer({ min: 1, max: 10 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const { stage, lamps, engine } = setUp()
        for (const step of steps) {
          if ('begin' in step)
            await engine.begin(
              'lamp',
              { machines: step.begin },
              { for: step.seconds === undefined ? undefined : step.seconds * 1_000 },
            )
          else if ('pass' in step) await stage.clock.advance(step.pass * 1_000)
          else {
            const faults = await stage.faults()
            if (faults.length > 0) await engine.heal([faults[step.heal % faults.length]!.id])
          }
          await engine.sweep()
          const inForce = await engine.inForce()
          const expected = [...new Set(inForce.flatMap(({ values }) => values.machines as string[]))].sort()
          assert.deepEqual(on(lamps), expected)
          assert.ok(inForce.every(({ until }) => until === undefined || Date.parse(until) > stage.clock.now()))
          assert.equal(stage.timers.size, inForce.filter(({ until }) => until !== undefined).length)
        }
      }),
      { numRuns: 100 },
    )
  })
})
