import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWUTS,
  MNT_DETACH,
  MS_BIND,
  NOT_MOUNTED,
  SystemCalls,
  type SystemCall,
} from '../../../agent/host/system-calls.ts'
import { mountsUnder } from '../../../agent/host/mount-table.ts'
import { FakeClock, systemClock } from '../../../proto/base/clock.ts'
import { eventually } from '../../eventually.ts'

const NAMESPACES = ['ipc', 'uts', 'net'] as const

describe('SystemCalls', () => {
  let directory: string
  let calls: SystemCalls

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gantry system calls, '))
    calls = new SystemCalls(systemClock)
  })
  afterEach(async () => {
    const mounted = (await mountsUnder(directory)).reverse()
    await calls.makeEach(mounted.map((target) => ({ call: 'umount', target, flags: MNT_DETACH })))
    calls.stop()
    rmSync(directory, { recursive: true })
  })

  const place = (name: string): string => {
    const path = join(directory, name)
    closeSync(openSync(path, 'a'))
    return path
  }
  const pin = (namespace: string, target: string): SystemCall => ({
    call: 'mount',
    source: `/proc/self/ns/${namespace}`,
    target,
    type: 'none',
    flags: MS_BIND,
    options: '',
  })
  const tmpfs = (target: string, options = ''): SystemCall => ({
    call: 'mount',
    source: 'test',
    target,
    type: 'tmpfs',
    flags: 0,
    options,
  })

  it('mounts and unmounts', async () => {
    const target = join(directory, 'a\nb')
    mkdirSync(target)
    await calls.make([tmpfs(target, 'size=4096,mode=0711')])
    assert.equal(statSync(target).mode & 0o777, 0o711)
    await calls.make([{ call: 'umount', target, flags: 0 }])
    const [again, absent] = await calls.makeEach([
      { call: 'umount', target, flags: 0 },
      { call: 'umount', target: join(directory, 'absent'), flags: 0 },
    ])
    assert.deepEqual([again!.errno, absent!.errno], NOT_MOUNTED)
  })

  it('makes namespaces for one request, whatever becomes of it', async () => {
    const own = NAMESPACES.map((name) => readlinkSync(`/proc/self/ns/${name}`))
    const pins = NAMESPACES.map((name) => place(name))
    await calls.make([
      { call: 'unshare', flags: CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET },
      ...NAMESPACES.map((name, index) => pin(name, pins[index]!)),
    ])
    const made = pins.map((path) => statSync(path).ino)
    for (const [index, name] of NAMESPACES.entries()) assert.ok(!own[index]!.includes(String(made[index])), name)
    await assert.rejects(calls.make([{ call: 'unshare', flags: CLONE_NEWNET }, tmpfs(join(directory, 'absent'))]), {
      code: 'NotFound',
    })
    const others = NAMESPACES.map((name) => place(`other-${name}`))
    await calls.make(NAMESPACES.map((name, index) => pin(name, others[index]!)))
    assert.deepEqual(
      others.map((path) => statSync(path).ino),
      own.map((text) => Number(/\d+/.exec(text)![0])),
      'the next one is made where the agent is',
    )
    const [entered] = [place('entered')]
    await calls.make([{ call: 'setns', path: pins[2]! }, pin('net', entered)])
    assert.equal(statSync(entered).ino, made[2])
  })

  it('stops at the first failure, or makes every call', async () => {
    const [first, last] = [join(directory, 'first'), join(directory, 'last')]
    for (const path of [first, last]) mkdirSync(path)
    const three = [tmpfs(first), tmpfs(join(directory, 'absent')), tmpfs(last)]
    await assert.rejects(calls.make(three), { code: 'NotFound', message: /^mount .*absent: ENOENT$/ })
    assert.deepEqual(await mountsUnder(directory), [first])
    const results = await calls.makeEach(three)
    assert.deepEqual(
      results.map(({ errno }) => errno),
      [undefined, 'ENOENT', undefined],
    )
    assert.equal((await mountsUnder(directory)).length, 3)
    assert.deepEqual(await calls.make([]), [])
  })

  it('writes what is there, and nothing where there is not', async () => {
    const path = place('file')
    await calls.make([
      { call: 'write', path, text: '1\n' },
      { call: 'write', path: join(directory, 'absent', 'file'), text: '1' },
      { call: 'chdir', path: directory },
      { call: 'write', path: 'file', text: '2\n' },
    ])
    assert.equal(readFileSync(path, 'utf8'), '2\n')
    await assert.rejects(calls.make([{ call: 'write', path: directory, text: '' }]), { message: /EISDIR/ })
    await assert.rejects(calls.make([{ call: 'write', path: 'a\0b', text: '' }]), { code: 'InvalidArgument' })
  })

  it('answers many at once in their order', async () => {
    const targets = Array.from({ length: 100 }, (_, number) => join(directory, String(number)))
    for (const target of targets) mkdirSync(target)
    await Promise.all(targets.map((target) => calls.make([tmpfs(target)])))
    assert.equal((await mountsUnder(directory)).length, targets.length)
  })

  it('tells those who wait that it was stopped, and heeds no answer that comes then', async () => {
    const fifo = join(directory, 'fifo')
    execFileSync('mkfifo', [fifo])
    const waiting = calls.make([{ call: 'setns', path: fifo }])
    calls.stop()
    await assert.rejects(waiting, { code: 'Cancelled' })
    // Lets the process go on once it waits in the open, so that it answers; its next process answers after it.
    closeSync(await eventually(() => openedForWriting(fifo)))
    await calls.make([tmpfs(directory)])
  })

  it('refuses options that the kernel would cut', async () => {
    await assert.rejects(calls.make([tmpfs(directory, 'a'.repeat(4096))]), { code: 'InvalidArgument' })
    assert.deepEqual(await mountsUnder(directory), [])
  })

  it('says what to install where there is no perl, and makes calls once there is', async () => {
    const { PATH } = process.env
    try {
      process.env.PATH = directory
      for (const call of [tmpfs(directory), { call: 'chdir', path: '/' } as const])
        await assert.rejects(calls.make([call]), { code: 'FailedPrecondition', message: /perl is not installed/ })
    } finally {
      process.env.PATH = PATH
    }
    await calls.make([tmpfs(directory)])
  })

  it('tells those who wait when its process ends, and begins another', async () => {
    const clock = new FakeClock()
    const late = new SystemCalls(clock)
    const fifo = join(directory, 'fifo')
    execFileSync('mkfifo', [fifo])
    const waiting = [late.make([{ call: 'setns', path: fifo }]), late.make([tmpfs(directory)])]
    const told = Promise.all(waiting.map((request) => assert.rejects(request, { code: 'Internal' })))
    await clock.advance(60_000)
    await told
    mkdirSync(join(directory, 'd'))
    await late.make([tmpfs(join(directory, 'd'))])
    late.stop()
  })
})

/** A descriptor of a FIFO that somebody waits to read from; false: nobody does yet. */
function openedForWriting(fifo: string): number | false {
  try {
    return openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return false
    throw error
  }
}
