import assert from 'node:assert/strict'
import { lstat } from 'node:fs/promises'
import { capabilityNames, resolveCapabilities } from '../../../agent/runtime/oci/capabilities.ts'
import {
  containerConfig,
  hostDevices,
  readSeccompProfile,
  type HostFacts,
  type OciConfig,
} from '../../../agent/runtime/oci/config.ts'
import { defaultSeccomp } from '../../../agent/runtime/oci/seccomp.ts'
import type { ContainerSpec, SandboxSpec } from '../../../agent/runtime/contract.ts'
import { containerSpec, sandboxSpec } from '../../contract/runtime.ts'

const HOST: HostFacts = {
  cgroupVersion: 2,
  limitsSwap: true,
  capabilities: capabilityNames('1ffffffffff'),
  oomScoreAdj: 0,
}
const WHOLE = { 'memory.oom.group': '1' }
const SHARED = { ipc: '/p/ipc', uts: '/p/uts', shm: '/p/shm', pid: undefined }
const place = { rootfs: '/rootfs', logPath: () => '/log' }

function config(
  spec: Partial<ContainerSpec> = {},
  sandbox: Partial<SandboxSpec> = {},
  host: Partial<HostFacts> = {},
  pid?: string,
): OciConfig {
  return containerConfig({
    spec: containerSpec(place, 'c', 'pod', ['sh'], spec),
    sandbox: sandboxSpec('pod', {
      network: { netns: '/net', address: '10.0.0.2', addresses: ['10.0.0.2'] },
      ...sandbox,
    }),
    shared: { ...SHARED, pid },
    host: { ...HOST, ...host },
    cgroupsPath: '/gantry/podpod/c',
    localSeccomp: { local: true },
    devices: [],
  })
}
const namespaces = (result: OciConfig): Record<string, string | undefined> =>
  Object.fromEntries(
    (result.linux.namespaces as { type: string; path?: string }[]).map(({ type, path }) => [type, path ?? 'new']),
  )

describe('containerConfig', () => {
  it("joins the pod's namespaces and makes its own for the rest", () => {
    assert.deepEqual(namespaces(config()), {
      mount: 'new',
      network: '/net',
      uts: '/p/uts',
      ipc: '/p/ipc',
      pid: 'new',
      cgroup: 'new',
    })
    assert.deepEqual(namespaces(config({}, {}, { cgroupVersion: 1 }, '/proc/9/ns/pid')), {
      mount: 'new',
      network: '/net',
      uts: '/p/uts',
      ipc: '/p/ipc',
      pid: '/proc/9/ns/pid',
    })
    assert.deepEqual(namespaces(config({}, { network: undefined, hostPid: true, hostIpc: true })), {
      mount: 'new',
      cgroup: 'new',
    })
  })

  it("names the host of a pod, and leaves the machine's name alone on the host's network", () => {
    assert.equal(config({}, { hostname: 'web' }).hostname, 'web')
    assert.equal(config({}, { network: undefined }).hostname, undefined)
  })

  it('leaves out limits that are none, and allows no more swap than memory', () => {
    assert.deepEqual(config().linux.resources, { devices: [{ allow: false, access: 'rwm' }], cpu: {}, unified: WHOLE })
    const limits = { cpuShares: 2, cpuQuotaMicros: 1000, memoryLimit: 5000, pidsLimit: 3 }
    assert.deepEqual(config({ resources: limits }).linux.resources, {
      devices: [{ allow: false, access: 'rwm' }],
      cpu: { shares: 2, quota: 1000, period: 100_000 },
      memory: { limit: 5000, swap: 5000 },
      pids: { limit: 3 },
      unified: WHOLE,
    })
    assert.deepEqual(
      (config({ resources: limits }, {}, { limitsSwap: false }).linux.resources as { memory: unknown }).memory,
      { limit: 5000 },
    )
  })

  it('has the kernel end a container as a whole where it can', () => {
    assert.equal((config({}, {}, { cgroupVersion: 1 }).linux.resources as { unified?: unknown }).unified, undefined)
    assert.deepEqual((config({}, {}, { cgroupVersion: 2 }).linux.resources as { unified?: unknown }).unified, WHOLE)
  })

  it('puts a volume in place of a default mount, and shallow mounts before deep ones', () => {
    const { mounts } = config({
      mounts: [
        { source: '/a', destination: '/v/w', readOnly: true, type: 'bind' },
        { source: '/b', destination: '/v', readOnly: false, type: 'bind', propagation: 'rslave' },
        { source: '', destination: '/dev/shm', readOnly: false, type: 'tmpfs', sizeLimit: 10 },
      ],
    })
    assert.deepEqual(
      mounts.slice(-3).map(({ destination }) => destination),
      ['/v', '/v/w', '/dev/shm'],
    )
    assert.equal(mounts.filter(({ destination }) => destination === '/dev/shm').length, 1)
    assert.deepEqual(mounts.find(({ destination }) => destination === '/v')!.options, ['rbind', 'rslave', 'rw'])
    assert.equal(
      config({ mounts: [{ source: '/b', destination: '/v', readOnly: false, type: 'bind', propagation: 'rshared' }] })
        .linux.rootfsPropagation,
      'rshared',
    )
  })

  it('has a search path and, with a terminal, its type, unless told otherwise', () => {
    assert.match(config().process.env[0]!, /^PATH=.*\/bin/)
    assert.deepEqual(config({ env: ['PATH=/x', 'A=b'] }).process.env, ['PATH=/x', 'A=b'])
    assert.ok(config({ tty: true }).process.env.includes('TERM=xterm'))
    assert.equal(config({ cwd: '' }).process.cwd, '/')
  })

  it('leaves the out-of-memory score out when it cannot be lowered', () => {
    assert.equal(config({ oomScoreAdj: -997 }).process.oomScoreAdj, -997)
    const weak = { capabilities: HOST.capabilities.filter((name) => name !== 'SYS_RESOURCE'), oomScoreAdj: 100 }
    assert.equal(config({ oomScoreAdj: 99 }, {}, weak).process.oomScoreAdj, undefined)
    assert.equal(config({ oomScoreAdj: 100 }, {}, weak).process.oomScoreAdj, 100)
  })

  it('takes every restriction from a privileged container', () => {
    const { linux, process, mounts } = config({ privileged: true })
    assert.equal(process.capabilities.effective.length, HOST.capabilities.length)
    assert.deepEqual([linux.seccomp, linux.maskedPaths, linux.readonlyPaths], [undefined, undefined, undefined])
    assert.deepEqual((linux.resources as { devices: unknown }).devices, [{ allow: true, access: 'rwm' }])
    assert.ok(mounts.find(({ destination }) => destination === '/sys')!.options.includes('rw'))
  })

  it('takes the seccomp profile asked for', () => {
    assert.deepEqual(config({ seccomp: { type: 'Localhost', path: '/x' } }).linux.seccomp, { local: true })
    assert.equal(config({ seccomp: { type: 'Unconfined' } }).linux.seccomp, undefined)
    assert.equal((config().linux.seccomp as { defaultAction: string }).defaultAction, 'SCMP_ACT_ERRNO')
  })

  it('unmasks /proc but not /sys on request', () => {
    const { linux } = config({ unmaskedProc: true })
    assert.ok((linux.maskedPaths as string[]).every((path) => path.startsWith('/sys/')))
    assert.deepEqual(linux.readonlyPaths, [])
  })
})

describe('resolveCapabilities', () => {
  const all = capabilityNames('1ffffffffff')

  it("reads the kernel's mask", () => {
    assert.deepEqual(capabilityNames('3'), ['CHOWN', 'DAC_OVERRIDE'])
    assert.equal(all.length, 41)
  })

  it('starts from the default set, adds and drops', () => {
    assert.equal(resolveCapabilities({ add: [], drop: [] }, false, all).length, 14)
    assert.deepEqual(resolveCapabilities({ add: ['NET_ADMIN'], drop: ['ALL'] }, false, all), ['CAP_NET_ADMIN'])
    assert.equal(resolveCapabilities({ add: ['ALL'], drop: ['SYS_ADMIN', 'cap_chown'] }, false, all).length, 39)
    assert.ok(!resolveCapabilities({ add: [], drop: ['KILL'] }, false, all).includes('CAP_KILL'))
  })

  it('gives "all" as far as the agent has it, and refuses what it has not', () => {
    const some = ['CHOWN', 'KILL', 'SYS_ADMIN']
    assert.deepEqual(resolveCapabilities({ add: ['ALL'], drop: [] }, false, some), [
      'CAP_CHOWN',
      'CAP_KILL',
      'CAP_SYS_ADMIN',
    ])
    assert.deepEqual(resolveCapabilities({ add: [], drop: [] }, false, some), ['CAP_CHOWN', 'CAP_KILL'])
    assert.throws(() => resolveCapabilities({ add: ['NET_RAW'], drop: [] }, false, some), {
      code: 'FailedPrecondition',
    })
    assert.throws(() => resolveCapabilities({ add: [], drop: ['EVERYTHING'] }, false, some), {
      code: 'InvalidArgument',
    })
  })
})

describe('defaultSeccomp', () => {
  const allows = (capabilities: string[], call: string): boolean =>
    defaultSeccomp(capabilities, 'x64').syscalls.some(
      ({ names, action, args }) => names.includes(call) && action === 'SCMP_ACT_ALLOW' && args === undefined,
    )

  it('lets programs work and keeps them from the machine', () => {
    for (const call of ['read', 'execve', 'epoll_wait', 'openat2', 'clock_gettime', 'bind', 'io_setup', 'futex'])
      assert.ok(allows([], call), call)
    for (const call of [
      'mount',
      'setns',
      'unshare',
      'bpf',
      'kexec_load',
      'init_module',
      'reboot',
      'ptrace_',
      'keyctl',
      'add_key',
      'userfaultfd',
      'io_uring_setup',
      'swapon',
      'clone',
      'clone3',
      'socket',
      'personality',
    ])
      assert.ok(!allows([], call), call)
  })

  it('lets those with a capability use it', () => {
    assert.ok(
      allows(['CAP_SYS_ADMIN'], 'mount') &&
        allows(['CAP_SYS_ADMIN'], 'clone3') &&
        allows(['CAP_SYS_BOOT'], 'reboot') &&
        allows(['CAP_SYS_CHROOT'], 'chroot'),
    )
  })

  it('answers clone3 with "not there", so that the C library uses clone, whose flags can be seen', () => {
    const { syscalls } = defaultSeccomp([], 'x64')
    assert.deepEqual(
      syscalls.find(({ names }) => names.includes('clone3')),
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    )
    assert.equal(syscalls.find(({ names }) => names.includes('clone'))?.args?.[0]?.value, 0x7e020000)
  })
})

describe('reading from the machine', () => {
  it('finds device files with their numbers', async () => {
    const devices = await hostDevices()
    assert.deepEqual(
      devices.find(({ path }) => path === '/dev/null'),
      { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
    )
    for (const { path } of devices) assert.ok(!(await lstat(path)).isSymbolicLink(), path)
    assert.ok(!devices.some(({ path }) => path.startsWith('/dev/pts/')))
  })

  it('names a seccomp profile that is not there or not one', async () => {
    await assert.rejects(readSeccompProfile('/nowhere/profile.json'), {
      code: 'NotFound',
      message: /\/nowhere\/profile\.json/,
    })
    await assert.rejects(readSeccompProfile('/proc/version'), { code: 'InvalidArgument' })
  })
})
