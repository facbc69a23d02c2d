import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chooseRig } from '../../../deploy/rig/choice.ts'
import { adoptOld } from '../../../deploy/rig/old-record.ts'
import { openDriver } from '../../../deploy/rig/drivers/index.ts'
import { abandoned, removeRig } from '../../../deploy/rig/removal.ts'
import { claimNumbers } from '../../../deploy/rig/resizing.ts'
import {
  claimRig,
  forgetRig,
  freeReserve,
  isForeign,
  listRigs,
  readRig,
  RECORD_VERSION,
  requireRig,
  rigDirectory,
  updateRig,
  type ForeignRecord,
  type RigRecord,
} from '../../../deploy/rig/rig-record.ts'
import { rigFaultBackend } from '../../../deploy/rig/rig-fault-backend.ts'
import { GantryError, type ErrorCode } from '../../../proto/base/errors.ts'
import { identify } from '../../../proto/base/process.ts'
import { rigName } from '../../e2e/cluster.ts'

const NAME = rigName('record')
const ME = identify(process.pid)!
const DEAD = { pid: process.pid, startTime: 1, bootId: 'of long ago' }

function record(changes: Partial<RigRecord> = {}): RigRecord {
  return {
    version: RECORD_VERSION,
    name: NAME,
    driver: 'namespaces',
    created: '2026-01-01T00:00:00Z',
    phase: 'ready',
    maker: ME,
    options: { controllers: 1, nodes: 0, diskBytes: 1 },
    machines: [],
    faults: [],
    ...changes,
  }
}

function fails(code: ErrorCode, message: RegExp): (thrown: unknown) => boolean {
  return (thrown) =>
    GantryError.is(thrown, code) &&
    message.test(`${thrown.message} ${thrown.details.map(({ remedy }) => remedy).join(' ')}`)
}

const claim = (made: RigRecord): Promise<RigRecord> =>
  claimRig(made, () => {
    throw new GantryError('AlreadyExists', 'taken')
  })

describe('the record of a rig', () => {
  afterEach(() => forgetRig(NAME))

  it("is kept whole, for its owner's eyes only", async () => {
    await claim(record())
    assert.deepEqual(await readRig(NAME), record())
    assert.equal(statSync(rigDirectory(NAME)).mode & 0o777, 0o700)
    assert.equal(statSync(join(rigDirectory(NAME), 'rig.json')).mode & 0o777, 0o600)
  })

  it('loses no change of those made at once', async () => {
    await claim(record())
    const names = Array.from({ length: 30 }, (_, at) => `n${at}`)
    await Promise.all(
      names.map((name) => updateRig(NAME, (rig) => ({ ...rig, joining: [...(rig.joining ?? []), { name, by: ME }] }))),
    )
    assert.deepEqual((await requireRig(NAME)).joining!.map(({ name }) => name).sort(), [...names].sort())
  })

  it('keeps the names of nodes that a process was adding when it ended, for their removal', async () => {
    await claim(
      record({
        joining: [
          { name: 'n1', by: DEAD },
          { name: 'n3', by: ME },
        ],
      }),
    )
    assert.deepEqual(await claimNumbers(NAME, 2), [2, 4])
    assert.deepEqual((await requireRig(NAME)).joining, [
      { name: 'n1', by: DEAD },
      { name: 'n3', by: ME },
      { name: 'n2', by: ME },
      { name: 'n4', by: ME },
    ])
  })

  it('stays as it was when a change fails', async () => {
    await claim(record())
    await assert.rejects(
      updateRig(NAME, () => {
        throw new Error('no')
      }),
      /no/,
    )
    assert.deepEqual(await readRig(NAME), record())
  })

  it('is claimed once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => claim(record())))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  it('that is not there is named, with the nearest that is', async () => {
    await assert.rejects(requireRig(NAME), fails('NotFound', /there is no rig/))
    await claim(record())
    await assert.rejects(requireRig(`${NAME}x`), fails('NotFound', new RegExp(`did you mean "${NAME}"`)))
    await assert.rejects(
      updateRig(`${NAME}x`, (rig) => rig),
      fails('NotFound', /there is no rig/),
    )
  })

  it('of another version is told as such, and listed', async () => {
    for (const [version, word] of [
      [undefined, 'an older'],
      [1, 'an older'],
      [RECORD_VERSION + 1, 'a newer'],
    ] as const) {
      mkdirSync(rigDirectory(NAME), { recursive: true })
      writeFileSync(join(rigDirectory(NAME), 'rig.json'), JSON.stringify({ version, name: NAME, machines: [] }))
      await assert.rejects(
        readRig(NAME),
        fails('FailedPrecondition', new RegExp(`made by ${word} version.*gantry rig down ${NAME}`)),
      )
      const listed = (await listRigs()).find(({ name }) => name === NAME)!
      assert.ok(isForeign(listed))
    }
  })

  it('takes no parts in once the rig is being removed', async () => {
    await claim(record({ phase: 'removing' }))
    const { alone, update } = rigFaultBackend(NAME, await openDriver('namespaces'))
    await assert.rejects(
      update((faults) => faults),
      fails('Conflict', /is being removed/),
    )
    await assert.rejects(
      alone(async () => assert.fail('nothing may begin')),
      fails('Conflict', /is being removed/),
    )
  })

  it('has room put by for its removal, which is given up once', async () => {
    await claim(record())
    const file = join(rigDirectory(NAME), 'reserve')
    assert.ok(statSync(file).blocks * 512 >= 64 * 1024)
    await freeReserve(NAME)
    await freeReserve(NAME)
    assert.ok(!existsSync(file))
  })

  it('goes with its folder', async () => {
    await claim(record())
    await forgetRig(NAME)
    assert.ok(!existsSync(rigDirectory(NAME)))
    assert.equal(await readRig(NAME), undefined)
  })

  it('that cannot be read is told with its place, and keeps no others from being listed', async () => {
    mkdirSync(rigDirectory(NAME), { recursive: true })
    writeFileSync(join(rigDirectory(NAME), 'rig.json'), '{')
    await assert.rejects(readRig(NAME), fails('FailedPrecondition', /cannot be read: .*rig\.json: /))
    assert.ok((await listRigs()).some(({ name }) => name === NAME))
    assert.equal(await removeRig(NAME), true)
    assert.ok(!existsSync(rigDirectory(NAME)))
  })
})

describe('records of other versions', () => {
  const first: ForeignRecord = {
    name: NAME,
    version: undefined,
    content: {
      network: { bridge: 'gantry-rig7', prefix: '10.87.7', table: 't', owner: 'o' },
      machines: [{ spec: { name: 'n1', address: '10.87.7.11', log: '/l', command: ['a'] }, holder: ME, init: ME }],
    },
  }

  it('of the first form tell of machines made of namespaces, without a disk of their own', () => {
    const { driver, phase, network, machines, contextFile } = adoptOld(first, '/c')
    assert.deepEqual(
      [driver, phase, contextFile, network],
      ['namespaces', 'removing', '/c', { handle: first.content.network }],
    )
    assert.deepEqual(machines[0]!.handle, { holder: ME, init: ME, ownDisk: false })
    assert.equal(machines[0]!.spec.index, 11)
  })

  it('of a later form are taken as they are', () => {
    const later = { ...record({ contextFile: '/mine' }), version: 9 } as unknown as Record<string, unknown>
    const adopted = adoptOld({ name: NAME, version: 9, content: later }, '/c')
    assert.deepEqual(
      [adopted.version, adopted.phase, adopted.contextFile, adopted.driver],
      [9, 'removing', '/mine', 'namespaces'],
    )
  })

  it('that tell too little are refused, with what a person can do', () => {
    for (const content of [{}, { machines: 3 }, { machines: [], driver: 'vm' }]) {
      assert.throws(
        () => adoptOld({ name: NAME, version: 9, content }, '/c'),
        fails('FailedPrecondition', /does not tell what .* with the version of Gantry that made it/),
      )
    }
  })
})

describe('a rig that nobody can want', () => {
  const cases: [string, Partial<RigRecord>, RegExp | undefined][] = [
    ['up, and lasting', { maker: DEAD }, undefined],
    ['being made', { phase: 'making' }, undefined],
    ['left half-made', { phase: 'making', maker: DEAD }, /while making it/],
    ['left half-removed', { phase: 'removing', maker: DEAD }, /while removing it/],
    ['whose removal failed', { phase: 'removing', stuck: 'busy' }, /its removal failed: busy/],
    ['living with a process', { owner: ME }, undefined],
    ['whose process has ended', { owner: DEAD }, /its owner, process \d+, has ended/],
  ]
  for (const [what, changes, why] of cases) {
    it(what, () => {
      const found = abandoned(record(changes))
      if (why === undefined) assert.equal(found, undefined)
      else assert.match(found!, why)
    })
  }
})

describe('which rig a command is about', () => {
  it("is the one named, then the environment's", async () => {
    assert.equal(await chooseRig('a', { GANTRY_RIG: 'b' }), 'a')
    assert.equal(await chooseRig(undefined, { GANTRY_RIG: 'b' }), 'b')
  })
})

describe('what a record keeps', () => {
  it('is JSON that a person can read', async () => {
    await claim(record())
    try {
      assert.match(readFileSync(join(rigDirectory(NAME), 'rig.json'), 'utf8'), /^\{\n {2}"version": 2,\n/)
    } finally {
      rmSync(rigDirectory(NAME), { recursive: true })
      await forgetRig(NAME)
    }
  })
})
