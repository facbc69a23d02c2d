import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { acquireAgentLock } from '../../../agent/host/agent-lock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { identify } from '../../../proto/base/process.ts'

describe('the claim to a runDir', () => {
  let directory: string

  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'gantry-claim-'))))
  afterEach(() => rm(directory, { recursive: true }))

  it('is refused while another process has it, and given once that has ended', async () => {
    const other = spawn('sleep', ['1000'])
    try {
      await once(other, 'spawn')
      await writeFile(join(directory, 'agent.process'), JSON.stringify(identify(other.pid!)))
      assert.throws(
        () => acquireAgentLock(directory),
        (error) => GantryError.is(error, 'FailedPrecondition') && error.message.includes(`process ${other.pid}`),
      )
    } finally {
      other.kill('SIGKILL')
      await once(other, 'exit')
    }
    acquireAgentLock(directory)
    assert.deepEqual(JSON.parse(await readFile(join(directory, 'agent.process'), 'utf8')), identify(process.pid))
    acquireAgentLock(directory)
  })

  it("is given where a process of before has another one's pid now", async () => {
    await writeFile(join(directory, 'agent.process'), JSON.stringify({ ...identify(process.ppid), startTime: 1 }))
    acquireAgentLock(directory)
  })
})
