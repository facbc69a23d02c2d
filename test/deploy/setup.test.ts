import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run, type CommandResult } from '../../proto/base/command.ts'

const SETUP = resolve(import.meta.dirname, '../../deploy/setup')

describe('deploy/setup', () => {
  let folder: string
  /** Runs it where only these programs can be found. */
  const setup = async (programs: readonly string[], ...args: string[]): Promise<CommandResult> => {
    for (const program of programs) {
      const { stdout } = await run('sh', ['-c', `command -v ${program}`])
      symlinkSync(stdout.trim(), join(folder, program))
    }
    return run('/bin/bash', [SETUP, ...args], { env: { PATH: folder }, allow: [0, 1, 2] })
  }

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gantry-setup-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  it('names each missing program where there is no apt, and stops', async () => {
    const { code, stderr } = await setup(['dirname', 'id', 'node', 'npm'])
    assert.equal(code, 1)
    assert.match(stderr, /no apt/)
    for (const line of [
      /^ {2}etcd +\(Debian package etcd-server\)$/m,
      /^ {2}crun +\(Debian package crun\)$/m,
      /^ {2}conmon +\(Debian package conmon\)$/m,
    ])
      assert.match(stderr, line)
  })

  it('says that Node.js is missing before it does anything', async () => {
    const { code, stderr } = await setup(['dirname', 'id'])
    assert.equal(code, 1)
    assert.match(stderr, /Node\.js 20\.19 or newer is needed \(found: none\)/)
  })

  it('has nothing to do where everything is there', async () => {
    const { code, stdout, stderr } = await run('/bin/bash', [SETUP, '--no-build'], { allow: [0, 1] })
    assert.deepEqual([code, stdout, stderr], [0, '', ''])
  })
})
