import assert from 'node:assert/strict'
import { containerOptions, recordOf, handleOf } from '../../../../deploy/rig/drivers/docker/container.ts'
import { settingsFile } from '../../../../deploy/rig/drivers/docker/disk.ts'
import { findShortcomings, type EngineFacts } from '../../../../deploy/rig/drivers/docker/engine-check.ts'
import { addressIn } from '../../../../deploy/rig/drivers/docker/network.ts'
import type { MachineSpec } from '../../../../deploy/rig/contract.ts'

const GIBI = 2 ** 30

const spec: MachineSpec = {
  name: 'n1',
  role: 'node',
  index: 11,
  program: { name: 'agent', command: ['node', 'agent.cjs'] },
  files: [],
  stateDir: '/var/lib/gantry/rigs/lab/n1/state',
  runDir: '/run/gantry/lab/n1',
  log: '/var/lib/gantry/rigs/lab/n1/log',
  diskBytes: GIBI,
}
const place = { rig: 'lab', image: 'gantry-node:1', network: 'gantry-lab', address: '10.1.2.11', ports: {} }

describe('a machine as a container', () => {
  it('has its name, address, labels, own control groups and an emptied /run', () => {
    const { name, Hostname, Labels, Cmd, HostConfig, NetworkingConfig } = containerOptions({ ...place, spec })
    assert.equal(name, 'gantry-lab-n1')
    assert.equal(Hostname, 'n1')
    assert.deepEqual(Labels, { 'dev.gantry.rig': 'lab', 'dev.gantry.machine': 'n1' })
    assert.deepEqual(Cmd, [
      'n1',
      'gantry-rig/lab/n1',
      String(GIBI),
      spec.stateDir,
      spec.runDir,
      spec.log,
      '/run/gantry/lab/n1/hold-agent',
      'node',
      'agent.cjs',
    ])
    assert.deepEqual(Object.keys(HostConfig!.Tmpfs as object), ['/run'])
    assert.equal((HostConfig as { CgroupnsMode?: string }).CgroupnsMode, 'private')
    assert.equal(HostConfig!.Memory, undefined)
    assert.deepEqual(NetworkingConfig!.EndpointsConfig!['gantry-lab'], {
      IPAMConfig: { IPv4Address: '10.1.2.11' },
      Aliases: ['n1'],
    })
  })

  it('has its limits, its published ports, and a run directory elsewhere emptied too', () => {
    const { HostConfig, ExposedPorts } = containerOptions({
      ...place,
      ports: { 7443: 40001 },
      spec: { ...spec, runDir: '/elsewhere', memoryBytes: GIBI, cpus: 0.5 },
    })
    assert.deepEqual([HostConfig!.Memory, HostConfig!.MemorySwap, HostConfig!.NanoCpus], [GIBI, GIBI, 5e8])
    assert.deepEqual(Object.keys(HostConfig!.Tmpfs as object), ['/run', '/elsewhere'])
    assert.deepEqual(ExposedPorts, { '7443/tcp': {} })
    assert.deepEqual(HostConfig!.PortBindings, { '7443/tcp': [{ HostPort: '40001' }] })
  })

  it('is known by a record in JSON', () => {
    const record = JSON.parse(
      JSON.stringify(recordOf(spec, '10.1.2.11', { container: 'abc', ports: {}, full: true })),
    ) as ReturnType<typeof recordOf>
    assert.deepEqual(handleOf(record), { container: 'abc', ports: {}, full: true })
  })

  it('tells its next start how its disk is', () => {
    assert.equal(settingsFile({}), 'full=\nread_only=\nbytes_per_second=0\n')
    assert.equal(
      settingsFile({ full: true, readOnly: true, bytesPerSecond: 1000.4 }),
      'full=1\nread_only=1\nbytes_per_second=1000\n',
    )
  })

  it("has an address only once the engine has chosen the network's", () => {
    assert.equal(addressIn({ handle: { name: 'gantry-lab', prefix: '10.1.2' } }, 11), '10.1.2.11')
    assert.throws(() => addressIn({ handle: { name: 'gantry-lab' } }, 11), { code: 'FailedPrecondition' })
  })
})

describe('a Docker engine', () => {
  const engine: EngineFacts = {
    OSType: 'linux',
    ServerVersion: '26.1.5+dfsg1',
    MemTotal: 8 * GIBI,
    SecurityOptions: ['name=seccomp,profile=builtin'],
  }
  const demand = { controllers: 1, nodes: 3, diskBytes: GIBI }
  const cases: [string, Partial<EngineFacts>, string[]][] = [
    ['that has all', {}, []],
    ['of Windows', { OSType: 'windows' }, ['containers of the Docker engine']],
    ['that is old', { ServerVersion: '19.03.15' }, ['Docker engine']],
    ['without root', { SecurityOptions: ['name=rootless'] }, ['Docker engine']],
    ['with little memory', { MemTotal: 256 * 2 ** 20 }, ['memory of the Docker engine']],
    ['that says nothing of security', { SecurityOptions: null }, []],
  ]
  for (const [what, change, short] of cases) {
    it(`${what}: ${short.length === 0 ? 'will do' : 'is told what it lacks'}`, () => {
      const found = findShortcomings({ ...engine, ...change }, demand)
      assert.deepEqual(
        found.map((one) => one.what),
        short,
      )
      for (const { severity, remedy } of found) assert.ok(severity === 'fatal' && remedy !== '')
    })
  }
})
