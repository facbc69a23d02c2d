import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startByFifo } from '../../../agent/runtime/oci/start-fifo.ts'

describe('a FIFO that a container waits at', () => {
  let directory: string
  let path: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-fifo-'))
    path = join(directory, 'exec.fifo')
    execFileSync('mkfifo', [path])
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('gets a byte, and goes', () => {
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    assert.equal(startByFifo(path), true)
    const bytes = Buffer.alloc(8, 1)
    assert.equal(readSync(reader, bytes), 1)
    assert.equal(bytes[0], 0)
    closeSync(reader)
    assert.equal(existsSync(path), false)
  })

  it('only goes where nobody waits at it any more', () => {
    assert.equal(startByFifo(path), true)
    assert.equal(existsSync(path), false)
  })

  it('that is not there starts nothing', () => {
    assert.equal(startByFifo(join(directory, 'absent')), false)
  })
})
