import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileState } from '../../../agent/state/file.ts'
import { makePod } from '../fakes.ts'

const INSTANCE = { id: 'c1', attempt: 2, stopSignal: 'SIGINT' }
const KILL = { reason: 'stop', since: 1, deadline: 2, sent: 'TERM' }
const END = { id: 'c0', attempt: 1, exitCode: 1, reason: 'Error', message: '', startedAt: 1, finishedAt: 2 }
const EXIT = { state: 'exited', exitCode: 1, oomKilled: false, startedAt: 1, finishedAt: 2 }

describe('pod records as agents wrote them before', () => {
  let directory: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-format-'))
    await mkdir(join(directory, 'pods'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  async function read(fields: object): Promise<unknown> {
    const line = {
      format: 1,
      pod: makePod('web'),
      assigned: true,
      acceptedAt: 5,
      containers: {},
      dead: [],
      tornDown: false,
      released: false,
      timeline: [],
      status: {},
      ...fields,
    }
    await writeFile(join(directory, 'pods', 'uid-web.json'), JSON.stringify(line))
    const { pods, damaged } = await new FileState(directory).load()
    assert.deepEqual(damaged, [])
    return JSON.parse(JSON.stringify(pods[0]))
  }

  const stages: [string, object, object][] = [
    ['is active', {}, { stage: 'active', since: 5 }],
    ['is active since the clock was set', { activeSince: 9 }, { stage: 'active', since: 9 }],
    ['is stopping', { activeSince: 9, stopSince: 10 }, { stage: 'stopping', since: 10 }],
    ['is torn down', { stopSince: 10, tornDown: true }, { stage: 'tornDown' }],
    ['is released', { stopSince: 10, tornDown: true, released: true }, { stage: 'released' }],
  ]
  for (const [title, fields, stage] of stages)
    it(`tell of a pod that ${title}`, async () => {
      assert.deepEqual(await read(fields), {
        pod: JSON.parse(JSON.stringify(makePod('web'))) as unknown,
        assigned: true,
        acceptedAt: 5,
        stage,
        containers: {},
        dead: [],
        timeline: [],
        status: {},
      })
    })

  const containers: [string, object, object][] = [
    ['has no instance', { retryAt: 0 }, { stage: 'idle' }],
    ['has ended', { retryAt: 7, ended: END }, { stage: 'ended', end: END, retryAt: 7 }],
    [
      'is being made',
      { retryAt: 0, instance: { ...INSTANCE, state: { state: 'creating' } } },
      { stage: 'creating', instance: INSTANCE },
    ],
    [
      'is being ended',
      {
        retryAt: 0,
        instance: { ...INSTANCE, state: { state: 'running', pid: 3, startedAt: 4 }, kill: KILL, ready: true },
      },
      { stage: 'running', instance: INSTANCE, pid: 3, startedAt: 4, kill: KILL, ready: true },
    ],
    [
      'has exited',
      { retryAt: 0, instance: { ...INSTANCE, state: EXIT, postStart: 'ended' } },
      { stage: 'exited', instance: INSTANCE, exit: EXIT, postStart: 'ended' },
    ],
  ]
  for (const [title, fields, stage] of containers)
    it(`tell of a container that ${title}`, async () => {
      const record = await read({ containers: { main: { attempt: 2, failures: 1, passed: true, ...fields } } })
      assert.deepEqual((record as { containers: { main: object } }).containers.main, {
        attempt: 2,
        failures: 1,
        passed: true,
        stage,
      })
    })
})
