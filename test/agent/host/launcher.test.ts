import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launcher } from '../../../agent/host/launcher.ts'
import { isAlive, identify } from '../../../proto/base/process.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { eventually } from '../../eventually.ts'

describe('Launcher', () => {
  let directory: string
  let launcher: Launcher

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-launcher-'))
    launcher = new Launcher(join(directory, 'files'), systemClock)
  })

  afterEach(() => {
    launcher.stop()
    rmSync(directory, { recursive: true })
  })

  const shell = (script: string, ...args: string[]): readonly string[] => ['-c', script, 'sh', ...args]

  it('gives back both outputs and the exit code', async () => {
    assert.deepEqual(await launcher.run('sh', shell('echo out; echo err >&2; exit 3'), { allow: [3] }), {
      code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    })
  })

  it('hands arguments, input, directory and environment on as they are', async () => {
    const odd = `it's "a"\n$HOME \\n *`
    const { stdout } = await launcher.run('sh', shell('printf "%s|%s|%s|" "$1" "$ODD" "$PWD"; cat', odd), {
      stdin: odd,
      cwd: directory,
      env: { ODD: odd },
    })
    assert.equal(stdout, `${odd}|${odd}|${directory}|${odd}`)
    await assert.rejects(launcher.run('true', ['a\0b']), { code: 'InvalidArgument' })
    await assert.rejects(launcher.run('true', [], { env: { 'a b': '' } }), { code: 'InvalidArgument' })
  })

  it('tells what failed', async () => {
    await assert.rejects(
      launcher.run('sh', shell('echo broken >&2; exit 4')),
      (error) =>
        GantryError.is(error, 'Internal') &&
        /exited with 4: broken$/.test(error.message) &&
        error.details[0]?.value === '4',
    )
    await assert.rejects(launcher.run('no-such-program', []), { code: 'NotFound' })
    await assert.rejects(launcher.run('true', [], { cwd: join(directory, 'absent') }), { code: 'Internal' })
  })

  it('runs many at once without mixing them up', async () => {
    const numbers = Array.from({ length: 60 }, (_, number) => number)
    const results = await Promise.all(
      numbers.map((number) => launcher.run('sh', shell('echo "$1"; exit "$1"', String(number)), { allow: numbers })),
    )
    assert.deepEqual(
      results.map(({ code, stdout }) => [code, stdout]),
      numbers.map((number) => [number, `${number}\n`]),
    )
  })

  it('kills what takes too long and what is no longer wanted', async () => {
    const pidFile = join(directory, 'pid')
    const ending = new AbortController()
    const unwanted = launcher.run('sh', shell('echo $$ >"$1"; exec sleep 1000', pidFile), { signal: ending.signal })
    const pid = await eventually(() => Number(readText(pidFile)) || false)
    const identity = identify(pid)!
    ending.abort(new GantryError('Cancelled', 'enough'))
    await assert.rejects(unwanted, { code: 'Cancelled', message: 'enough' })
    assert.equal(isAlive(identity), false)
    await assert.rejects(launcher.run('sleep', ['1000'], { timeout: 20 }), { code: 'DeadlineExceeded' })
    await assert.rejects(launcher.run('true', [], { signal: ending.signal }), { code: 'Cancelled' })
  })

  it('waits for the first line on the descriptor only, not for the end', async () => {
    const errors = join(directory, 'errors')
    const line = '{"text":"a\\\\n\'b\'"}'
    const options = { cwd: '/', env: { LINE: line }, timeout: 30_000, stderr: errors }
    const pidFile = join(directory, 'pid')
    assert.equal(
      await launcher.answer(
        'sh',
        shell('echo wrong >&2; sleep 1000 & echo $! >"$1"; printf "%s\\nmore\\n" "$LINE" >&3', pidFile),
        options,
      ),
      line,
    )
    const identity = identify(Number(readText(pidFile)))!
    assert.equal(isAlive(identity), true)
    process.kill(identity.pid, 'SIGKILL')
    assert.equal(readText(errors), 'wrong\n')
    assert.equal(await launcher.answer('true', [], options), undefined)
    await assert.rejects(launcher.answer('sh', shell('exec sleep 1'), { ...options, timeout: 10 }), {
      code: 'DeadlineExceeded',
    })
  })

  it('answers when the foreground of the program has ended, however late that is', async () => {
    const written = join(directory, 'written')
    const script = 'echo early >&3; exec 3>&-; sleep 0.2; echo late >"$1"'
    const options = { cwd: '/', env: {}, timeout: 30_000, stderr: join(directory, 'errors') }
    assert.equal(await launcher.answer('sh', shell(script, written), options), 'early')
    assert.equal(readText(written), 'late\n')
  })

  it('begins anew when its shell was killed, and tells those who waited', async () => {
    const pidFile = join(directory, 'pid')
    const waiting = launcher.run('sh', shell('echo $$ >"$1"; exec sleep 1000', pidFile))
    const pid = await eventually(() => Number(readText(pidFile)) || false)
    process.kill(parentOf(pid), 'SIGKILL')
    await assert.rejects(waiting, { code: 'Internal' })
    process.kill(pid, 'SIGKILL')
    assert.equal((await launcher.run('echo', ['again'])).stdout, 'again\n')
  })
})

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    if (['ENOENT', 'ESRCH'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return ''
    throw thrown
  }
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readText(`/proc/${pid}/status`))![1])
}
