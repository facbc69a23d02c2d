import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launcher } from '../../../agent/host/launcher.ts'
import { Conmon, type Supervised } from '../../../agent/runtime/oci/conmon.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { signalProcess } from '../../../proto/base/process.ts'

const SIGKILL = 9

/** Conmon as it is on a busy machine: its background tells the container's pid before its foreground writes its own. */
const LATE_FOREGROUND = `#!/bin/sh
while [ "$1" != --conmon-pidfile ]; do shift; done
sleep 60 3>&- &
echo "{\\"pid\\":$!}" >&3
exec 3>&-
sleep 0.2
echo $! >"$2"
`

describe('Conmon', () => {
  let directory: string
  let launcher: Launcher

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-conmon-'))
    launcher = new Launcher(join(directory, 'launch'), systemClock)
  })

  afterEach(async () => {
    launcher.stop()
    await rm(directory, { recursive: true })
  })

  it('knows its process also when the container is there before the pid file', async () => {
    const program = join(directory, 'conmon')
    await writeFile(program, LATE_FOREGROUND)
    await chmod(program, 0o755)
    const conmon = new Conmon({
      program,
      runtime: 'crun',
      runtimeArgs: [],
      exitDirectory: directory,
      socketDirectory: directory,
      launcher,
    })
    const request = { bundle: directory, logPath: join(directory, 'log'), tty: false, stdin: false, stdinOnce: false }
    let supervised: Supervised | undefined
    try {
      supervised = await conmon.create({ id: 'c', ...request })
      assert.ok(supervised.init.pid > 0)
      assert.deepEqual(supervised.conmon, supervised.init)
    } finally {
      if (supervised !== undefined) signalProcess(supervised.init, SIGKILL)
    }
  })
})
