import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newRecord } from '../../../agent/pods/plan/pod-state.ts'
import type { PodRecord } from '../../../agent/state/contract.ts'
import { FileState } from '../../../agent/state/file.ts'
import { MemoryState } from '../../../agent/state/memory.ts'
import { agentStateSuite } from '../../contract/agent-state.ts'
import { makePod } from '../fakes.ts'

async function directory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'gantry-state-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

agentStateSuite('in files', async () => {
  const { path, remove } = await directory()
  return { open: () => new FileState(path), remove }
})

agentStateSuite('in memory', () => {
  const state = new MemoryState()
  return Promise.resolve({ open: () => state, remove: () => Promise.resolve() })
})

/** A record that is told from others by a number. */
function numbered(record: PodRecord, number: number): PodRecord {
  return { ...record, stage: { stage: 'stopping', since: number } }
}

function numberOf({ stage }: PodRecord): number | undefined {
  return stage.stage === 'stopping' ? stage.since : undefined
}

describe('agent state in files', () => {
  it('sets a damaged record aside and names it', async () => {
    const { path, remove } = await directory()
    try {
      const state = new FileState(path)
      await state.load()
      await state.put(newRecord(makePod('web'), 0))
      await writeFile(join(path, 'pods', 'uid-cut.json'), '{"format":1,"pod":{"meta')
      await writeFile(join(path, 'pods', 'uid-x.json.new'), 'half')
      const { pods, damaged } = await new FileState(path).load()
      assert.equal(pods.length, 1)
      assert.deepEqual(damaged, [join(path, 'pods', 'uid-cut.json.damaged')])
      assert.deepEqual((await readdir(join(path, 'pods'))).sort(), ['uid-cut.json.damaged', 'uid-web.json'])
    } finally {
      await remove()
    }
  })

  it('sets what is no record of this program aside, and reads the others', async () => {
    const { path, remove } = await directory()
    try {
      const state = new FileState(path)
      await state.load()
      const whole = JSON.parse(JSON.stringify({ format: 2, ...newRecord(makePod('web'), 0) })) as object
      const instance = { id: 'c', attempt: 0, stopSignal: '' }
      const odd: object[] = [
        { pod: null },
        { pod: {} },
        { containers: null },
        { containers: { main: null } },
        { containers: { main: { attempt: 0, failures: 0 } } },
        { containers: { main: { attempt: 0, failures: 0, stage: { stage: 'toString' } } } },
        { containers: { main: { attempt: 0, failures: 0, stage: { stage: 'running' } } } },
        { stage: { stage: 'frozen' } },
        { stage: 'active' },
        { format: 1, containers: { main: { instance } } },
        { format: 1, containers: { main: { instance: { ...instance, state: { state: 'paused' } } } } },
      ]
      for (const [index, fields] of odd.entries()) {
        const pod = makePod(`odd${index}`)
        await writeFile(join(path, 'pods', `${pod.metadata.uid}.json`), JSON.stringify({ ...whole, pod, ...fields }))
      }
      await writeFile(join(path, 'pods', 'uid-web.json'), JSON.stringify(whole))
      const { pods, damaged } = await new FileState(path).load()
      assert.deepEqual(
        pods.map(({ pod }) => pod.metadata.uid),
        ['uid-web'],
      )
      assert.equal(damaged.length, odd.length)
    } finally {
      await remove()
    }
  })

  it('passes over a line that was cut short, and does not build on it', async () => {
    const { path, remove } = await directory()
    try {
      const state = new FileState(path)
      await state.load()
      const record = newRecord(makePod('web'), 0)
      const file = join(path, 'pods', 'uid-web.json')
      for (let number = 1; number <= 3; number++) await state.put(numbered(record, number))
      await writeFile(file, (await readFile(file, 'utf8')).slice(0, -1))
      const reopened = new FileState(path)
      assert.equal(numberOf((await reopened.load()).pods[0]!), 2)
      for (let number = 4; number <= 6; number++) await reopened.put(numbered(record, number))
      const { pods, damaged } = await new FileState(path).load()
      assert.deepEqual([pods.length, numberOf(pods[0]!), damaged], [1, 6, []])
    } finally {
      await remove()
    }
  })

  it('keeps the files of pods that change for ever small', async () => {
    const { path, remove } = await directory()
    try {
      const state = new FileState(path)
      await state.load()
      const record = newRecord(makePod('web', {}, { annotations: { long: 'x'.repeat(50_000) } }), 0)
      for (let number = 1; number <= 20; number++) await state.put(numbered(record, number))
      assert.ok((await stat(join(path, 'pods', 'uid-web.json'))).size <= 256 * 1024)
      assert.equal(numberOf((await new FileState(path).load()).pods[0]!), 20)
    } finally {
      await remove()
    }
  })

  it('refuses a uid that is no file name', () => {
    assert.throws(() => new FileState('/nowhere').remove('../x'), { code: 'InvalidArgument' })
  })
})
