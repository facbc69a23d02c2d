import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectNats } from 'nats'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { claimDirectory } from '../../controller/supervise/directory.ts'
import { fatalMessage, EmbeddedEtcd } from '../../controller/supervise/etcd.ts'
import { EmbeddedNats } from '../../controller/supervise/nats.ts'
import { findRecorded, RECORD_AND_EXEC, isRunning } from '../../controller/supervise/process-record.ts'
import { SupervisedChild, type ListenAddress } from '../../controller/supervise/child.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { FakeClock, systemClock, type Clock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { freePort } from './free-port.ts'
import { until } from '../eventually.ts'

const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }

/** Time that passes a hundred times as fast. */
const hasty: Clock = {
  now: systemClock.now,
  monotonic: () => systemClock.monotonic() * 100,
  after: (millis, call) => systemClock.after(millis / 100, call),
}

/** TCP ports that a process listens on. */
async function listeningPorts(pid: number): Promise<string[]> {
  const { stdout } = await run('ss', ['-Hltnp'])
  return stdout.split('\n').filter((line) => line.includes(`pid=${pid},`))
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

describe('embedded etcd and NATS', function () {
  this.timeout(60_000)
  let dir: string
  let group: RunGroup

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gantry-supervise-'))
    group = new RunGroup()
  })

  afterEach(async () => {
    group.stop()
    await group.wait()
    await rm(dir, { recursive: true, force: true })
  })

  function pidOf(child: { state: SupervisedChild['state'] }): number {
    assert.equal(child.state.state, 'ready')
    return (child.state as { pid: number }).pid
  }

  it('etcd answers, comes back after SIGKILL, and is gone at the end', async () => {
    const etcd = await EmbeddedEtcd.prepare({ ...parts, dataDir: dir })
    group.add((signal) => etcd.run(signal))
    await etcd.ready()
    const first = pidOf(etcd)
    assert.match(await readFile(`/proc/${first}/cmdline`, 'utf8'), /etcd/)

    process.kill(first, 'SIGKILL')
    await until('etcd is ready again', () => etcd.state.state === 'ready' && pidOf(etcd) !== first)
    const store = new EtcdStore({ endpoints: [etcd.address], clock: systemClock }, systemRandom)
    assert.ok((await store.revision()) > 0)
    await store.close()

    const second = await findRecorded(join(dir, 'etcd.process'))
    assert.equal(second?.pid, pidOf(etcd))
    group.stop()
    await group.wait()
    assert.equal(etcd.state.state, 'stopped')
    assert.equal(await isRunning(second!), false)
  })

  it('etcd listens on sockets that only its own user reaches, and on no port', async () => {
    await chmod(dir, 0o755)
    const etcd = await EmbeddedEtcd.prepare({ ...parts, dataDir: dir })
    group.add((signal) => etcd.run(signal))
    await etcd.ready()
    assert.equal((await stat(dir)).mode & 0o777, 0o700)
    const socket = etcd.address.replace('unix:', '')
    const ask = ['curl', '--silent', '--unix-socket', socket, 'http://localhost/health']
    assert.match((await run(ask[0]!, ask.slice(1))).stdout, /"health":"true"/)
    assert.notEqual(
      (await run('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--', ...ask], { allow: [7] }))
        .code,
      0,
    )
    assert.deepEqual(await listeningPorts(pidOf(etcd)), [])
  })

  it('says that a data directory is too deep for a socket', async () => {
    await assert.rejects(
      EmbeddedEtcd.prepare({ ...parts, dataDir: `/${'deep/'.repeat(30)}` }),
      (error: GantryError) => error.code === 'InvalidArgument' && error.details[0]?.field === 'dataDir',
    )
  })

  it('NATS serves only those who know its token, which is kept and never on a command line', async () => {
    const port = await freePort()
    const nats = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })
    group.add((signal) => nats.run(signal))
    await nats.ready()
    await assert.rejects(connectNats({ servers: nats.address, reconnect: false }), { code: 'AUTHORIZATION_VIOLATION' })
    await assert.rejects(connectNats({ servers: nats.address, token: '0'.repeat(64), reconnect: false }), {
      code: 'AUTHORIZATION_VIOLATION',
    })
    await (await connectNats({ servers: nats.address, token: nats.token })).close()
    for (const file of ['token', 'nats.conf']) assert.equal((await stat(join(dir, file))).mode & 0o777, 0o600, file)
    assert.equal((await readFile(`/proc/${pidOf(nats)}/cmdline`, 'utf8')).includes(nats.token), false)
    assert.equal((await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })).token, nats.token)
  })

  it('makes a new token when the kept one is damaged', async () => {
    await writeFile(join(dir, 'token'), '')
    const { token } = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port: 1 })
    assert.match(token, /^[0-9a-f]{64}$/)
    assert.equal((await readFile(join(dir, 'token'), 'utf8')).trim(), token)
  })

  it('replaces the NATS of a controller that was killed, and keeps its data directory to one', async () => {
    const port = await freePort()
    const record = join(dir, 'nats.process')
    const earlier = spawn(
      'sh',
      [
        '-c',
        RECORD_AND_EXEC,
        record,
        '/usr/sbin/nats-server',
        '--addr',
        '127.0.0.1',
        '--port',
        String(port),
        '--jetstream',
        '--store_dir',
        join(dir, 'jetstream'),
      ],
      { stdio: 'ignore' },
    )
    const ended = new Promise((resolve) => earlier.once('exit', resolve))
    await until('the earlier NATS answers', () => answers(port))
    assert.equal((await findRecorded(record))?.pid, earlier.pid)

    const nats = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })
    group.add((signal) => nats.run(signal))
    await nats.ready()
    await ended
    assert.notEqual(pidOf(nats), earlier.pid)
    assert.equal((await findRecorded(record))?.pid, pidOf(nats))
  })

  it('leaves alone a process that only has the recorded number', async () => {
    const port = await freePort()
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' })
    const record = join(dir, 'nats.process')
    const stat = (await readFile(`/proc/${stranger.pid}/stat`, 'utf8')).trim().split(' ')
    stat[21] = String(Number(stat[21]) - 1)
    await writeFile(record, `${stat.join(' ')}\n${await readFile('/proc/sys/kernel/random/boot_id', 'utf8')}`)
    try {
      const nats = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })
      group.add((signal) => nats.run(signal))
      await nats.ready()
      assert.equal(stranger.exitCode, null)
      assert.equal(stranger.signalCode, null)
    } finally {
      stranger.kill('SIGKILL')
    }
  })

  it('dies with a controller that is killed', async () => {
    const port = await freePort()
    const script = `
      import { EmbeddedNats } from ${JSON.stringify(join(import.meta.dirname, '../../controller/supervise/nats.ts'))}
      import { systemClock } from ${JSON.stringify(join(import.meta.dirname, '../../proto/base/clock.ts'))}
      import { silentLogger } from ${JSON.stringify(join(import.meta.dirname, '../../proto/base/logger.ts'))}
      import { systemRandom } from ${JSON.stringify(join(import.meta.dirname, '../../proto/base/random.ts'))}
      const nats = await EmbeddedNats.prepare({ clock: systemClock, random: systemRandom, logger: silentLogger, dataDir: ${JSON.stringify(dir)}, port: ${port} })
      await nats.run(new AbortController().signal)
    `
    const file = join(dir, 'controller.mts')
    await writeFile(file, script.replaceAll(/^ {6}/gm, ''))
    const controller = spawn(process.execPath, ['--import', 'tsx', file], {
      stdio: 'inherit',
      cwd: join(import.meta.dirname, '../..'),
    })
    try {
      await until('NATS answers', () => answers(port))
      const child = await findRecorded(join(dir, 'nats.process'))
      assert.ok(child)
      controller.kill('SIGKILL')
      await until('NATS is gone', async () => !(await isRunning(child)))
    } finally {
      controller.kill('SIGKILL')
    }
  })

  it('gives a data directory to one controller, until its process is gone', async () => {
    await claimDirectory(dir)
    await claimDirectory(dir)
    const other = spawn('sh', ['-c', RECORD_AND_EXEC, join(dir, 'controller.process'), '/usr/bin/sleep', '60'], {
      stdio: 'ignore',
    })
    try {
      await until(
        'the other has it',
        async () => (await findRecorded(join(dir, 'controller.process')))?.pid === other.pid,
      )
      await assert.rejects(
        claimDirectory(dir),
        (error: GantryError) => error.code === 'FailedPrecondition' && error.message.includes(String(other.pid)),
      )
    } finally {
      other.kill('SIGKILL')
    }
    await until('the other is gone', async () => (await findRecorded(join(dir, 'controller.process'))) === undefined)
    await claimDirectory(dir)
    assert.equal((await findRecorded(join(dir, 'controller.process')))?.pid, process.pid)
  })

  it('never takes another server on its port for its own', async () => {
    const stranger = createServer((socket) => socket.end('INFO {}\r\n'))
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as { port: number }
    const nats = await EmbeddedNats.prepare({ ...parts, dataDir: dir, port })
    const states = new Set<string>()
    group.add((signal) => nats.run(signal))
    await until('it waits for its next try', () => states.add(nats.state.state).has('waiting'))
    assert.equal(states.has('ready'), false)
    assert.equal((nats.state as { reason: string }).reason, `port ${port} on 127.0.0.1 is used by another process`)
    await new Promise((resolve) => stranger.close(resolve))
    await nats.ready()
  })

  it('gives up what has not answered once, with the reason', async () => {
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = stranger.address() as { port: number }
      const nats = await EmbeddedNats.prepare({ ...parts, clock: hasty, dataDir: dir, port })
      const ready = assert.rejects(nats.ready(), { code: 'FailedPrecondition' })
      await assert.rejects(nats.run(new AbortController().signal), {
        code: 'FailedPrecondition',
        message: `nats cannot be started: port ${port} on 127.0.0.1 is used by another process`,
      })
      await ready
    } finally {
      await new Promise((resolve) => stranger.close(resolve))
    }
  })

  it('tries a program that ends again and again for 20 s, one whose port is taken for about 3 s', async () => {
    const stranger = createServer()
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const { port } = stranger.address() as { port: number }
    /** Time passes only between tries, however long they take. */
    const patience = async (listens: readonly ListenAddress[]): Promise<number> => {
      const clock = new FakeClock()
      const child = new SupervisedChild(
        {
          name: 'brief',
          command: 'false',
          package: 'coreutils',
          args: [],
          dataDir: dir,
          listens,
          probe: () => Promise.reject(new Error('not yet')),
        },
        { ...parts, clock },
      )
      const begun = clock.monotonic()
      let over = false
      const given = assert
        .rejects(child.run(new AbortController().signal), { code: 'FailedPrecondition' })
        .finally(() => (over = true))
      await until('it is given up', async () => {
        if (child.state.state === 'waiting') await clock.advance(100)
        return over
      })
      await given
      return clock.monotonic() - begun
    }
    try {
      const taken = await patience([{ host: '127.0.0.1', port }])
      assert.ok(taken > 2_000 && taken < 5_000, `${taken} ms`)
      const ending = await patience([])
      assert.ok(ending > 20_000, `${ending} ms`)
    } finally {
      await new Promise((resolve) => stranger.close(resolve))
    }
  })

  it('never gives up what has answered', async () => {
    // Answers when it is started for the first time and never again.
    let answered = false
    const child = new SupervisedChild(
      {
        name: 'brief',
        command: 'sleep',
        package: 'coreutils',
        args: ['0.01'],
        dataDir: dir,
        listens: [],
        probe: () => (answered ? Promise.reject(new Error('not again')) : Promise.resolve(void (answered = true))),
      },
      { ...parts, clock: hasty },
    )
    const begun = hasty.monotonic()
    group.add((signal) => child.run(signal))
    await child.ready()
    await until('its patience at the start is long over', () => hasty.monotonic() - begun > 60_000)
    assert.notEqual(child.state.state, 'stopped')
    assert.equal(group.signal.aborted, false)
  })

  it('waits without end for a program that waits for others, while it runs', async () => {
    let others = false
    const child = new SupervisedChild(
      {
        name: 'member',
        command: 'sleep',
        package: 'coreutils',
        args: ['infinity'],
        dataDir: dir,
        listens: [],
        waitsForOthers: true,
        probe: () => (others ? Promise.resolve() : Promise.reject(new Error('no leader'))),
      },
      { ...parts, clock: hasty },
    )
    const begun = hasty.monotonic()
    group.add((signal) => child.run(signal))
    await until('any patience is long over', () => hasty.monotonic() - begun > 120_000)
    const record = await findRecorded(join(dir, 'member.process'))
    others = true
    await child.ready()
    assert.equal(pidOf(child), record?.pid, 'it was not started again')
  })

  it('starts a program anew when it is asked to, at once', async () => {
    // Time stands still.
    const child = new SupervisedChild(
      {
        name: 'member',
        command: 'sleep',
        package: 'coreutils',
        args: ['infinity'],
        dataDir: dir,
        listens: [],
        probe: () => Promise.resolve(),
      },
      { ...parts, clock: new FakeClock() },
    )
    child.restart('nothing runs yet')
    group.add((signal) => child.run(signal))
    await child.ready()
    const first = pidOf(child)
    child.restart('it hangs')
    await until('another runs', () => child.state.state === 'ready' && pidOf(child) !== first)
  })

  it('knows why a program ended, in its own words, until it answers again', async () => {
    const fatal =
      '{"level":"fatal","ts":"2026-01-01T00:00:00Z","caller":"backend/batch_tx.go:282","msg":"failed to commit tx","error":"write db: no \\"space\\" left","stacktrace":"a\\n\\tb"}'
    const lines = ['{"level":"warn","msg":"slow","error":"late"}', fatal, fatal.slice(0, 90), 'goodbye']
    const command = `[ -e mended ] && exec sleep infinity; printf '%s\\n' "$@"; exit 3`
    let mended = false
    const child = new SupervisedChild(
      {
        name: 'etcd',
        command: 'sh',
        package: 'dash',
        args: ['-c', command, 'sh', ...lines],
        dataDir: dir,
        listens: [],
        parseFailure: fatalMessage,
        probe: () => (mended ? Promise.resolve() : Promise.reject(new Error('not yet'))),
      },
      { ...parts, clock: hasty },
    )
    assert.equal(child.lastFailure, undefined)
    group.add((signal) => child.run(signal))
    await until('it has ended', () => child.lastFailure !== undefined)
    assert.equal(child.lastFailure, 'exited with 3: failed to commit tx: write db: no "space" left')
    await writeFile(join(dir, 'mended'), '')
    mended = true
    await child.ready()
    await until('it answers', () => child.lastFailure === undefined)
  })

  it("says that an address is not the machine's", async () => {
    const child = new SupervisedChild(
      {
        name: 'etcd',
        command: 'sleep',
        package: 'coreutils',
        args: ['1'],
        dataDir: dir,
        listens: [{ host: '192.0.2.1', port: 2380 }],
        probe: () => Promise.resolve(),
      },
      parts,
    )
    group.add((signal) => child.run(signal))
    await until('it waits for its next try', () => child.state.state === 'waiting')
    assert.equal((child.state as { reason: string }).reason, 'this machine does not have the address 192.0.2.1')
  })

  it('says that a program is not installed, and why it does not start', async () => {
    const missing = new SupervisedChild(
      {
        name: 'etcd',
        command: 'no-such-program',
        package: 'etcd-server',
        args: [],
        dataDir: dir,
        listens: [],
        probe: () => Promise.resolve(),
      },
      parts,
    )
    const ready = assert.rejects(missing.ready(), (error: GantryError) => error.code === 'FailedPrecondition')
    await assert.rejects(
      missing.run(new AbortController().signal),
      (error: GantryError) => error.code === 'FailedPrecondition' && /etcd-server/.test(error.details[0]?.remedy ?? ''),
    )
    await ready

    const failing = new SupervisedChild(
      {
        name: 'etcd',
        command: 'etcd',
        package: 'etcd-server',
        args: [
          '--data-dir',
          '/proc/none',
          '--listen-client-urls',
          'http://127.0.0.1:0',
          '--advertise-client-urls',
          'http://127.0.0.1:0',
        ],
        dataDir: dir,
        listens: [],
        probe: () => Promise.reject(new Error('not yet')),
      },
      parts,
    )
    group.add((signal) => failing.run(signal))
    await until('it waits for its next try', () => failing.state.state === 'waiting')
    assert.match((failing.state as { reason: string }).reason, /exited with \d+: .*proc.none/)
  })
})
