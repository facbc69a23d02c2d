import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signalNumber } from '../../../agent/runtime/oci/signal.ts'
import { identify, isAlive, signalProcess } from '../../../proto/base/process.ts'
import {
  containerRecord,
  loadRecord,
  saveRecord,
  type ContainerEntry,
  type Phase,
} from '../../../agent/runtime/oci/records.ts'
import { lastLogged, startError, startFailure } from '../../../agent/runtime/oci/start-failure.ts'

describe('startFailure', () => {
  const crun = {
    'executable file `nope` not found in $PATH: No such file or directory': 127,
    'executable file `/nope` not found: No such file or directory': 127,
    'the path `/noexec` exists but it is not executable: Operation not permitted': 126,
    'the path `/bin` is not a regular file: Operation not permitted': 126,
    'chdir to `/nodir`: No such file or directory': 126,
  }
  const start = 'runc create failed: unable to start container process: '
  const runc = {
    [`${start}exec: "nope": executable file not found in $PATH`]: 127,
    [`${start}exec: "/nope": stat /nope: no such file or directory`]: 127,
    [`${start}exec: "/noexec": permission denied`]: 126,
    [`${start}exec: "/bin": is a directory`]: 126,
    [`${start}chdir to cwd ("/nodir") set in config.json failed: no such file or directory`]: 126,
  }
  for (const [text, exitCode] of Object.entries({ ...crun, ...runc })) {
    it(`reads ${exitCode} from: ${text}`, () => assert.equal(startFailure(text, 'x')?.exitCode, exitCode))
  }

  it('leaves other failures what they are', () => {
    for (const text of [
      'mount `/volume` to `/v`: No such file or directory',
      'writing file `/sys/fs/cgroup/memory.max`: Permission denied',
      'cannot setup seccomp',
    ])
      assert.equal(startFailure(text, 'x'), undefined, text)
    assert.equal(
      startError('cannot setup seccomp', 'x', 'cannot create container c').message,
      'cannot create container c: cannot setup seccomp',
    )
  })

  it('finds the last error in a log of JSON lines', () => {
    assert.equal(lastLogged('{"msg":"first","level":"error"}\n{"level":"warning","msg":"no matter"}\nnoise\n'), 'first')
    assert.equal(lastLogged(''), undefined)
  })
})

describe('signalNumber', () => {
  it('reads names, numbers and real-time signals', () => {
    assert.deepEqual(
      ['SIGTERM', 'term', '9', 'SIGRTMIN', 'SIGRTMIN+3', 'HUP'].map(signalNumber),
      [15, 15, 9, 34, 37, 1],
    )
    for (const wrong of ['', '0', '65', 'SIGFOO', 'SIGRTMIN+31', '-1'])
      assert.throws(() => signalNumber(wrong), { code: 'InvalidArgument' }, wrong)
  })
})

describe('process identity', () => {
  it('tells a living process from one that has ended, and from another with its pid', async () => {
    const child = spawn('sleep', ['1000'])
    const identity = identify(child.pid!)!
    assert.equal(isAlive(identity), true)
    assert.equal(isAlive({ ...identity, startTime: identity.startTime + 1 }), false)
    assert.equal(isAlive({ ...identity, bootId: 'another' }), false)
    assert.equal(signalProcess({ ...identity, startTime: 1 }, 9), false)
    assert.equal(signalProcess(identity, 9), true)
    await once(child, 'exit')
    assert.equal(isAlive(identity), false)
    assert.equal(signalProcess(identity, 9), false)
  })
})

describe('records', () => {
  const entry = (phase: Phase): ContainerEntry => ({
    id: 'c',
    sandboxId: 'p',
    createdAt: 1,
    internal: false,
    command: 'x',
    cgroup: '/g',
    phase,
  })

  it('come back as last written; one cut short counts as not written', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-records-'))
    try {
      assert.equal(await loadRecord(directory), undefined)
      saveRecord(directory, entry({ phase: 'creating' }))
      assert.deepEqual(await loadRecord(directory), entry({ phase: 'creating' }))
      saveRecord(directory, entry({ phase: 'exited', exitCode: 0, oomKilled: false, startedAt: 1, finishedAt: 2 }))
      const whole = await readFile(join(directory, 'record.json'), 'utf8')
      await writeFile(join(directory, 'record.json'), whole.slice(0, -5))
      assert.deepEqual(await loadRecord(directory), entry({ phase: 'creating' }))
      saveRecord(directory, entry({ phase: 'exited', exitCode: 3, oomKilled: false, startedAt: 1, finishedAt: 2 }))
      assert.deepEqual(
        await loadRecord(directory),
        entry({ phase: 'exited', exitCode: 3, oomKilled: false, startedAt: 1, finishedAt: 2 }),
      )
      await writeFile(join(directory, 'record.json'), '{"id":')
      assert.equal(await loadRecord(directory), undefined)
      assert.equal(await loadRecord(join(directory, 'nothing')), undefined)
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it('show an end by a signal as such', () => {
    const end = (exitCode: number): unknown =>
      containerRecord(entry({ phase: 'exited', exitCode, oomKilled: false, startedAt: 1, finishedAt: 2 })).state
    assert.deepEqual(end(143), {
      state: 'exited',
      exitCode: 143,
      signal: 15,
      oomKilled: false,
      startedAt: 1,
      finishedAt: 2,
    })
    assert.deepEqual(
      [128, 193, 255, 3].map((code) => (end(code) as { signal: unknown }).signal),
      [undefined, undefined, undefined, undefined],
    )
  })
})
