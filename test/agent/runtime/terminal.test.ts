import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Run } from '../../../agent/host/launcher.ts'
import { resizeTerminal } from '../../../agent/runtime/oci/terminal.ts'
import { run } from '../../../proto/base/command.ts'
import { until } from '../fakes.ts'

const O_PATH = 0o10000000

describe('the size of a terminal', () => {
  let directory: string
  let child: ChildProcess | undefined

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-terminal-'))
  })

  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await rm(directory, { recursive: true, force: true })
  })

  /** Runs programs, and notes which. */
  function noting(programs: string[]): Run {
    return (program, args, options) => {
      programs.push(program)
      return run(program, args, options)
    }
  }

  for (const [what, made] of [
    ['a FIFO', 'mkfifo "$0"'],
    ['a regular file', ': > "$0"'],
    ['a device that is no terminal', 'mknod "$0" c 1 7'],
    ['a device with the number of a terminal', 'mknod "$0" c 136 0'],
  ] as const) {
    it(`is not set on ${what} that a process has put in the terminal's place: nothing is opened`, async () => {
      const trap = join(directory, 'trap')
      await run('sh', ['-c', made, trap])
      // As a container can: a reference to a file takes no right to open it.
      const reference = openSync(trap, O_PATH)
      child = spawn('sleep', ['1000'], { stdio: [reference, reference, reference] })
      closeSync(reference)
      const programs: string[] = []
      await resizeTerminal(noting(programs), child.pid!, { width: 80, height: 24 })
      assert.deepEqual(programs, [])
      if (what === 'a FIFO')
        assert.throws(
          () => openSync(trap, constants.O_WRONLY | constants.O_NONBLOCK),
          { code: 'ENXIO' },
          'nobody reads it',
        )
    })
  }

  it('is set on a terminal, whichever of the descriptors leads there', async () => {
    child = spawn(
      'script',
      [
        '--quiet',
        '--command',
        `exec sh -c 'echo $$ > ${directory}/pid; exec sleep 1000 < /dev/zero > ${directory}/out'`,
        '/dev/null',
      ],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    )
    let found = 0
    await until('the process', async () => {
      found = Number((await run('cat', [join(directory, 'pid')], { allow: [0, 1] })).stdout)
      return found > 0 && (await run('readlink', [`/proc/${found}/exe`], { allow: [0, 1] })).stdout.includes('sleep')
    })
    await resizeTerminal(run, found, { width: 101, height: 31 })
    assert.equal((await run('stty', ['-F', `/proc/${found}/fd/2`, 'size'])).stdout, '31 101\n')
    process.kill(found, 'SIGKILL')
  })

  it('is nothing to a process that has ended', () => resizeTerminal(run, 2 ** 22, { width: 80, height: 24 }))
})
