import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newRecord } from '../../../agent/pods/pod-state.ts'
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

  it('refuses a uid that is no file name', () => {
    assert.throws(() => new FileState('/nowhere').remove('../x'), { code: 'InvalidArgument' })
  })
})
