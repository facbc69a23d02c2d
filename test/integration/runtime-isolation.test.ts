import assert from 'node:assert/strict'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Attachment } from '../../agent/network/contract.ts'
import type { ContainerSpec, ContainerState, SandboxSpec } from '../../agent/runtime/contract.ts'
import { Cgroups } from '../../agent/runtime/oci/cgroups.ts'
import type { OciDriver } from '../../agent/runtime/oci/driver.ts'
import type { GantryError } from '../../proto/base/errors.ts'
import { Channel } from '../../proto/base/channel.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { RuntimeMachine } from '../agent/runtime/machine.ts'
import { containerSpec, execRequest, sandboxSpec, seen } from '../contract/runtime.ts'

const MEBIBYTE = 1024 * 1024
const forever = ['/bin/sleep', '1000']

for (const runtime of ['crun', 'runc'] as const) {
  describe(`OciDriver isolates (${runtime})`, function () {
    this.timeout(60_000)
    let machine: RuntimeMachine
    let driver: OciDriver

    beforeEach(async () => {
      machine = await RuntimeMachine.make(runtime)
      driver = machine.driver()
      await driver.start()
    })

    afterEach(async () => {
      await driver.stop()
      await machine.cleanUp()
    })

    const start = async (
      id: string,
      args: readonly string[],
      change: Partial<ContainerSpec> = {},
      sandbox: Partial<SandboxSpec> = {},
    ): Promise<void> => {
      const sandboxId = change.sandboxId ?? 'pod'
      await driver.createSandbox(sandboxSpec(sandboxId, sandbox))
      await driver.createContainer(containerSpec(machine, id, sandboxId, args, change))
      await driver.startContainer(id)
    }
    const exited = (id: string): Promise<Extract<ContainerState, { state: 'exited' }>> =>
      seen(machine, `${id} exited`, async () => {
        const state = await driver.containerState(id)
        return state?.state === 'exited' ? state : undefined
      })
    /** What a shell line prints as a container of its own. */
    const prints = async (
      line: string,
      change: Partial<ContainerSpec> = {},
      sandbox: Partial<SandboxSpec> = {},
    ): Promise<string> => {
      await start('once', ['/bin/sh', '-c', line], change, sandbox)
      await exited('once')
      const text = await machine.log('once')
      await driver.removeSandbox(change.sandboxId ?? 'pod')
      await rm(machine.logPath('once'))
      return text.trim()
    }
    const exec = async (
      id: string,
      line: string,
    ): Promise<{ exitCode: number; message: string; stdout: string; stderr: string }> => {
      const text = { stdout: '', stderr: '' }
      const result = await driver.exec(
        id,
        execRequest(['/bin/sh', '-c', line], (stream, chunk) => (text[stream] += Buffer.from(chunk).toString())),
        new AbortController().signal,
      )
      return { ...result, ...text }
    }
    /** How many of the machine's processes have this in their command line. */
    const linesWith = async (text: string): Promise<number> => {
      const lines = await Promise.all(
        (await machine.processes()).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
      )
      return lines.filter((line) => line.replaceAll('\0', ' ').includes(text)).length
    }
    /** What has started is the runtime's own process for a moment, and has done nothing of what it is to do. */
    const shows = (id: string, line: string, pattern: RegExp): Promise<true> =>
      seen(
        machine,
        `${pattern} by ${line} in ${id}`,
        async () => pattern.test((await exec(id, line)).stdout) || undefined,
      )
    const netns = async (): Promise<Attachment> => {
      const path = join(machine.directory, 'net')
      await writeFile(path, '')
      await run('unshare', [`--net=${path}`, '--', 'ip', 'link', 'set', 'lo', 'up'])
      return { netns: path, address: '10.0.0.2', addresses: ['10.0.0.2'] }
    }

    it('gives a pod its host name and its containers one IPC namespace, one /dev/shm and each its own processes', async () => {
      const network = await netns()
      await start(
        'a',
        ['/bin/sh', '-c', 'hostname; echo shared > /dev/shm/x; exec sleep 1000'],
        {},
        { network, hostname: 'web-3' },
      )
      await start('b', forever)
      assert.equal((await exec('a', 'hostname')).stdout.trim(), 'web-3')
      await shows('b', 'hostname; cat /dev/shm/x', /^web-3\nshared\n$/)
      const ids = await Promise.all(
        ['a', 'b'].map(async (id) =>
          (await exec(id, 'for ns in ipc net pid; do readlink /proc/self/ns/$ns; done')).stdout.split('\n'),
        ),
      )
      assert.deepEqual(ids[0]!.slice(0, 2), ids[1]!.slice(0, 2))
      assert.notEqual(ids[0]![2], ids[1]![2])
      await shows('b', 'ps', /sleep/)
      assert.equal((await exec('b', 'ps')).stdout.split('\n').filter((line) => line.includes('sleep')).length, 1)
    })

    it('shares one process namespace on request, in which orphans are reaped and containers restart', async () => {
      await start('a', forever, {}, { shareProcessNamespace: true })
      await start('b', ['/bin/sh', '-c', 'sh -c "sleep 0.01 & exit"; exec sleep 2000'])
      await shows('a', 'ps -o pid,stat,args', /^\s*1 \S+\s+\/busybox sh/m)
      for (const process of [/sleep 1000/, /sleep 2000/]) await shows('a', 'ps -o args', process)
      await seen(machine, 'no zombie', async () =>
        (await exec('a', 'ps -o stat')).stdout.includes('Z') ? undefined : true,
      )
      await driver.removeContainer('a')
      await start('a2', forever)
      assert.match((await exec('a2', 'ps -o args')).stdout, /sleep 2000/)
      assert.deepEqual((await driver.list()).containers.map(({ id }) => id).sort(), ['a2', 'b'])
    })

    it('shows a container the processes of the one that it joins, and ends it with that', async () => {
      await start('a', ['/bin/sh', '-c', 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done'])
      await seen(machine, 'that it heeds signals', async () =>
        (await machine.log('a')).includes('ready') ? true : undefined,
      )
      await start('guest', ['/bin/sh', '-c', 'exec sleep 1000'], { pidNamespaceOf: 'a' })
      await shows('guest', 'ps -o pid,args', /^\s*1 \/bin\/sh -c trap[^]*sleep 1000/m)
      assert.equal((await exec('guest', 'kill -TERM 1')).exitCode, 0)
      assert.equal((await exited('a')).exitCode, 7)
      assert.equal((await exited('guest')).exitCode, 137)
    })

    it('changes the limits of what runs, and refuses less memory than is in use', async () => {
      const limits = (memory: number, cpuQuotaMicros: number): ContainerSpec['resources'] => ({
        cpuShares: 512,
        cpuQuotaMicros,
        memoryLimit: memory * MEBIBYTE,
        pidsLimit: 100,
      })
      await start(
        'a',
        ['/bin/sh', '-c', 'x=$(head -c 20000000 /dev/zero | tr "\\0" x); echo full; while :; do sleep 0.1; done'],
        { resources: limits(256, 100_000) },
        { resources: limits(256, 100_000) },
      )
      await seen(machine, 'that it is full', async () => ((await machine.log('a')).includes('full') ? true : undefined))
      const { layout } = await Cgroups.detect(systemClock)
      const files = layout.version === 2 ? ['memory.max', 'cpu.max'] : ['memory.limit_in_bytes', 'cpu.cfs_quota_us']
      const found = async (): Promise<string[]> =>
        Promise.all(
          files.map(async (file) => {
            const mount = layout.version === 2 ? layout.mount : layout.controllers.get(file.split('.')[0]!)!
            return (await readFile(join(mount, machine.cgroupParent, 'podpod/a', file), 'utf8')).trim().split(' ')[0]!
          }),
        )
      for (const [memory, quota] of [
        [128, 50_000],
        [384, 150_000],
      ] as const) {
        await driver.updateSandbox('pod', limits(512, 0))
        await driver.updateContainer('a', limits(memory, quota))
        await driver.updateSandbox('pod', limits(memory, quota))
        assert.deepEqual(await found(), [String(memory * MEBIBYTE), String(quota)])
      }
      await assert.rejects(
        driver.updateContainer('a', limits(8, 150_000)),
        (error: GantryError) => error.code === 'FailedPrecondition' && /bytes of memory are in use/.test(error.message),
      )
      assert.deepEqual(await found(), [String(384 * MEBIBYTE), '150000'])
    })

    it("uses the host's namespaces when told to", async () => {
      const own = (name: string): Promise<string> =>
        run('readlink', [`/proc/self/ns/${name}`]).then(({ stdout }) => stdout.trim())
      assert.equal(
        await prints(
          'for ns in net uts pid ipc; do readlink /proc/self/ns/$ns; done',
          {},
          { hostPid: true, hostIpc: true },
        ),
        [await own('net'), await own('uts'), await own('pid'), await own('ipc')].join('\n'),
      )
    })

    it('leaves nothing of a container running after its first process, whatever process namespace it is in', async () => {
      await start('a', ['/bin/sh', '-c', 'sleep 1000 & exit 4'], {}, { hostPid: true })
      assert.equal((await exited('a')).exitCode, 4)
      await seen(machine, 'no process', async () => (await machine.processes()).length === 0 || undefined)
    })

    it('limits memory, and says that the kernel killed', async () => {
      await start('hungry', ['/bin/sh', '-c', 'head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 9'], {
        resources: { cpuShares: 0, cpuQuotaMicros: 0, memoryLimit: 16 * MEBIBYTE, pidsLimit: 0 },
      })
      const { oomKilled, exitCode } = await exited('hungry')
      assert.equal(oomKilled, true)
      // Version 2 ends the container as a whole, before it can say 9; version 1 kills the largest process, and its
      // first one, too, if that is not gone soon enough.
      const codes = (await Cgroups.detect(systemClock)).layout.version === 2 ? [137] : [9, 137]
      assert.ok(codes.includes(exitCode), String(exitCode))
    })

    it('sets cpu, memory and pids limits of containers and of the pod', async () => {
      await start(
        'a',
        forever,
        { resources: { cpuShares: 512, cpuQuotaMicros: 50_000, memoryLimit: 32 * MEBIBYTE, pidsLimit: 20 } },
        { resources: { cpuShares: 1024, cpuQuotaMicros: 80_000, memoryLimit: 64 * MEBIBYTE, pidsLimit: 50 } },
      )
      const { layout } = await Cgroups.detect(systemClock)
      const read = async (controller: string, path: string, file: string): Promise<string> =>
        (
          await readFile(
            join(
              layout.version === 2 ? layout.mount : layout.controllers.get(controller)!,
              machine.cgroupParent,
              path,
              file,
            ),
            'utf8',
          )
        ).trim()
      const files =
        layout.version === 2
          ? [
              ['cpu', 'cpu.max', '50000 100000', '80000 100000'],
              ['memory', 'memory.max', String(32 * MEBIBYTE), String(64 * MEBIBYTE)],
              ['pids', 'pids.max', '20', '50'],
            ]
          : [
              ['cpu', 'cpu.shares', '512', '1024'],
              ['cpu', 'cpu.cfs_quota_us', '50000', '80000'],
              ['memory', 'memory.limit_in_bytes', String(32 * MEBIBYTE), String(64 * MEBIBYTE)],
              ['pids', 'pids.max', '20', '50'],
            ]
      for (const [controller, file, container, pod] of files as [string, string, string, string][]) {
        assert.equal(await read(controller, 'podpod/a', file), container, file)
        assert.equal(await read(controller, 'podpod', file), pod, file)
      }
      // The command's streams end with it, whatever its children go on for.
      const { stdout } = await exec(
        'a',
        'i=0; while [ $i -lt 40 ]; do sleep 1000 >&- 2>&- & i=$((i+1)); done; echo all',
      )
      assert.doesNotMatch(stdout, /all/)
    })

    it('takes capabilities, new privileges and dangerous calls away by default', async () => {
      const status = 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status'
      assert.equal(await prints(status), 'CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2')
      assert.equal(
        await prints(status, { allowPrivilegeEscalation: false, capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } }),
        'CapEff:\t0000000000001000\nNoNewPrivs:\t1\nSeccomp:\t2',
      )
      assert.match(
        await prints('unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1'),
        /not permitted[^]*(not permitted|denied)/,
      )
      assert.match(await prints(status, { seccomp: { type: 'Unconfined' } }), /Seccomp:\t0/)
      await assert.rejects(start('x', ['true'], { capabilities: { add: ['NONSENSE'], drop: [] } }), {
        code: 'InvalidArgument',
      })
    })

    it('masks what tells about the machine, unless unmasked or privileged', async () => {
      const look =
        'wc -c < /proc/interrupts; echo 1 > /proc/sys/vm/drop_caches && echo wrote; ls /dev | grep -c -E "^(vda|sda|loop0|kmsg|tun|fuse)$"'
      assert.match(await prints(`(${look}) 2>&1`), /^0\n[^]*(Read-only|denied)[^]*\n0$/)
      assert.match(await prints('wc -c < /proc/interrupts', { unmaskedProc: true }), /^[1-9]/)
      assert.match(
        await prints('wc -c < /proc/interrupts; mount -t tmpfs x /tmp && touch /tmp/y && echo mounted', {
          privileged: true,
        }),
        /^[1-9]\d*\nmounted$/,
      )
    })

    it('runs as the user given, in the directory given, with the environment given', async () => {
      assert.equal(
        await prints('id; pwd; echo $GREETING $PATH', {
          user: { uid: 1000, gid: 2000, additionalGids: [3000] },
          cwd: '/tmp',
          env: ['GREETING=hi', 'PATH=/bin'],
        }),
        'uid=1000 gid=2000 groups=3000\n/tmp\nhi /bin',
      )
    })

    it('mounts volumes, read-only and writable, and memory of limited size', async () => {
      const source = join(machine.directory, 'volume')
      await mkdir(join(source, 'inner'), { recursive: true })
      await writeFile(join(source, 'file'), 'content\n')
      await mkdir(join(source, 'deep'))
      assert.match(
        await prints(
          'cat /v/deep/file; (echo no > /v/file) 2>/dev/null || echo read-only; echo yes > /v/deep/new; dd if=/dev/zero of=/m/x bs=1024 count=2000 2>&1 | grep -c -i space; touch /root-file 2>/dev/null || echo sealed',
          {
            readOnlyRootfs: true,
            mounts: [
              { source, destination: '/v/deep', readOnly: false, type: 'bind' },
              { source, destination: '/v', readOnly: true, type: 'bind' },
              { source: '', destination: '/m', readOnly: false, type: 'tmpfs', sizeLimit: MEBIBYTE },
            ],
          },
        ),
        /^content\nread-only\n1\nsealed$/,
      )
      assert.equal(await readFile(join(source, 'new'), 'utf8'), 'yes\n')
    })

    it('sets sysctls of the pod', async () => {
      const network = await netns()
      assert.equal(
        await prints(
          'cat /proc/sys/net/ipv4/ip_local_port_range',
          {},
          { network, sysctls: { 'net.ipv4.ip_local_port_range': '40000 41000' } },
        ),
        '40000\t41000',
      )
    })

    it('writes the log as CRI says, and opens a new one after a rename', async () => {
      await start('talker', [
        '/bin/sh',
        '-c',
        'echo out; echo err >&2; while :; do if [ -e /tmp/again ]; then echo after; exec sleep 1000; fi; sleep 0.02; done',
      ])
      const path = machine.logPath('talker')
      await seen(machine, 'both lines', async () => (await machine.log('talker')).includes('out\nerr') || undefined)
      assert.match(
        await readFile(path, 'utf8'),
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ stdout F out\n\S+ stderr F err\n$/,
      )
      await rename(path, `${path}.1`)
      await driver.reopenLog('talker')
      await exec('talker', 'touch /tmp/again')
      assert.equal(
        (
          await seen(machine, 'the new log', async () =>
            (await machine.log('talker')).includes('after') ? machine.log('talker') : undefined,
          )
        ).trim(),
        'after',
      )
      assert.doesNotMatch(await readFile(`${path}.1`, 'utf8'), /after/)
    })

    it('says 127 and 126 for commands of exec, passes exit codes on and keeps the streams apart', async () => {
      await start('a', forever)
      const signal = new AbortController().signal
      assert.deepEqual(await driver.exec('a', execRequest(['nowhere']), signal), {
        exitCode: 127,
        message: 'exec: "nowhere": not found',
      })
      assert.deepEqual(await driver.exec('a', execRequest(['/not-executable']), signal), {
        exitCode: 126,
        message: 'exec: "/not-executable": permission denied',
      })
      assert.deepEqual(await exec('a', 'echo out > /dev/stdout; echo err > /dev/stderr; exit 7'), {
        exitCode: 7,
        message: '',
        stdout: 'out\n',
        stderr: 'err\n',
      })
      assert.equal((await exec('a', 'kill -9 $$')).exitCode, 137)
    })

    it("feeds a command's input to its end", async () => {
      await start('a', forever)
      const stdin = new Channel<Uint8Array>()
      const block = Buffer.alloc(100_000, 'x')
      for (let count = 0; count < 20; count++) stdin.push(block)
      stdin.close()
      let output = ''
      const { exitCode } = await driver.exec(
        'a',
        execRequest(['wc', '-c'], (_, chunk) => (output += Buffer.from(chunk).toString()), { stdin }),
        new AbortController().signal,
      )
      assert.deepEqual([exitCode, output.trim()], [0, '2000000'])
      const unread = new Channel<Uint8Array>()
      for (let count = 0; count < 20; count++) unread.push(block)
      assert.equal(
        (
          await driver.exec(
            'a',
            execRequest(['true'], () => undefined, { stdin: unread }),
            new AbortController().signal,
          )
        ).exitCode,
        0,
      )
    })

    it("leaves the machine's own device files as they are, whoever a container and its commands run as", async () => {
      const owner = (): Promise<string> =>
        run('stat', ['-c', '%u:%g %a', '/dev/null']).then(({ stdout }) => stdout.trim())
      const before = await owner()
      await start('a', forever, { user: { uid: 54321, gid: 54321, additionalGids: [] } })
      assert.equal((await exec('a', 'id -u; cat; echo ended')).stdout, '54321\nended\n')
      assert.equal(await owner(), before)
    })

    it("gives a container's own terminal its size at once, the last of several, also while its shim does nothing", async () => {
      await start('a', forever, { tty: true })
      const names = await Promise.all(
        (await machine.processes()).map(async (pid) => ({
          pid,
          name: (await readFile(`/proc/${pid}/comm`, 'utf8')).trim(),
        })),
      )
      const shims = names.filter(({ name }) => name === 'conmon').map(({ pid }) => pid)
      assert.ok(shims.length > 0)
      for (const pid of shims) process.kill(pid, 'SIGSTOP')
      try {
        await driver.resizeTerminal('a', { width: 78, height: 34 })
        await driver.resizeTerminal('a', { width: 77, height: 33 })
        assert.deepEqual(await exec('a', 'stty -F /proc/1/fd/0 size'), {
          exitCode: 0,
          message: '',
          stdout: '33 77\n',
          stderr: '',
        })
      } finally {
        for (const pid of shims) process.kill(pid, 'SIGCONT')
      }
    })

    it('gives exec a real terminal that can be typed on and resized', async () => {
      await start('a', forever)
      const stdin = new Channel<Uint8Array>()
      const resizes = new Channel<{ width: number; height: number }>()
      let output = ''
      const done = driver.exec(
        'a',
        execRequest(['/bin/sh'], (_, chunk) => (output += Buffer.from(chunk).toString()), {
          tty: true,
          size: { width: 101, height: 31 },
          stdin,
          resizes,
        }),
        new AbortController().signal,
      )
      const says = (pattern: RegExp): Promise<true> =>
        seen(machine, String(pattern), () => pattern.test(output) || undefined)
      await says(/# /)
      stdin.push(Buffer.from('tty; stty size; echo $TERM; echo rea""dy\n'))
      await says(/\/dev\/pts\/\d+\r\n31 101\r\nxterm\r\nready/)
      resizes.push({ width: 120, height: 40 })
      await seen(machine, 'the new size', async () => {
        stdin.push(Buffer.from('stty size\n'))
        await machine.pass()
        return output.includes('40 120') || undefined
      })
      stdin.push(Buffer.from('sh -c \'echo sta""rted; exec sleep 1000\'\n'))
      await says(/started\r\n/)
      stdin.push(Buffer.from('\x03'))
      stdin.push(Buffer.from('exit 5\n'))
      assert.deepEqual(await done, { exitCode: 5, message: '' })
      assert.equal(output.split('stty size; echo').length, 2, 'what is typed is echoed once')
    })

    it('kills what exec runs when the caller gives up', async () => {
      await start('a', forever)
      const abort = new AbortController()
      const done = driver.exec('a', execRequest(['/bin/sleep', '4321']), abort.signal)
      await seen(
        machine,
        'the command',
        async () => (await exec('a', 'ps -o args')).stdout.includes('sleep 4321') || undefined,
      )
      abort.abort()
      await assert.rejects(done, { code: 'Cancelled' })
      await seen(machine, 'its end', async () =>
        (await exec('a', 'ps -o args')).stdout.includes('sleep 4321') ? undefined : true,
      )
      const early = new AbortController()
      const never = driver.exec('a', execRequest(['/bin/sleep', '4321']), early.signal)
      early.abort()
      await assert.rejects(never, { code: 'Cancelled' })
      assert.doesNotMatch((await exec('a', 'ps -o args')).stdout, /sleep 4321/)
      assert.deepEqual(await readdir(join(machine.directory, 'run', 'exec')), [])
    })

    it('ends what exec runs with the driver, also what has not begun yet', async () => {
      await start('a', forever)
      const commands = ['/bin/sleep 4321', '/bin/sleep 4322'].map((line) =>
        driver.exec('a', execRequest(line.split(' ')), new AbortController().signal),
      )
      await seen(machine, 'a command', async () => (await linesWith('sleep 432')) || undefined)
      commands.push(driver.exec('a', execRequest(['/bin/sleep', '4323']), new AbortController().signal))
      const ends = Promise.all(
        commands.map((command) => assert.rejects(command, { code: 'Cancelled', message: /^the agent ends/ })),
      )
      await driver.stop()
      await ends
      assert.equal(await linesWith('sleep 432'), 0)
      await driver.start()
    })
  })
}
