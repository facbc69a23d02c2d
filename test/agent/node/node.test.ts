import assert from 'node:assert/strict'
import { KUBERNETES_VERSION } from '../../../proto/base/version.ts'
import { tmpdir } from 'node:os'
import { AGENT_SETTINGS } from '../../../agent/config.ts'
import { defaultInterface, meminfoBytes, readMachine, type Machine } from '../../../agent/node/machine.ts'
import { MachineCgroup } from '../../../agent/node/machine-cgroup.ts'
import { nodeObject } from '../../../agent/node/node-object.ts'
import { pressureConditions, readLevels } from '../../../agent/node/pressure.ts'
import type { Image } from '../../../agent/images/contract.ts'
import { parseConfig } from '../../../proto/base/config-file.ts'
import type { GantryError } from '../../../proto/base/errors.ts'
import type { Node } from '../../../proto/gen/types.ts'

const MACHINE: Machine = {
  hostname: 'h',
  architecture: 'amd64',
  cpus: 4,
  memory: 8 * 2 ** 30,
  disk: 100 * 2 ** 30,
  kernelVersion: '6',
  osImage: 'Debian',
  machineId: 'm',
  systemUuid: 's',
  bootId: 'b',
  address: '192.0.2.1',
}

describe('node', () => {
  it('reads this machine', async () => {
    const machine = await readMachine(tmpdir())
    assert.ok(machine.cpus >= 1 && machine.memory > 2 ** 26 && machine.disk > 0)
    assert.match(machine.address, /^\d+\.\d+\.\d+\.\d+$/)
    assert.notEqual(machine.kernelVersion, '')
  })

  it('reads files of the kernel', () => {
    assert.equal(meminfoBytes('MemTotal:       16 kB\nMemAvailable:    8 kB\n', 'MemAvailable'), 8192)
    assert.equal(defaultInterface('Iface\tDestination\tGateway\nlo\t0000007F\t0\neth1\t00000000\t0101\n'), 'eth1')
    assert.equal(defaultInterface('Iface\tDestination\n'), undefined)
  })

  it('registers with what it has and what the configuration says', () => {
    const node = nodeObject(
      MACHINE,
      {
        name: 'n1',
        labels: { zone: 'a' },
        taints: [{ key: 'k', value: undefined, effect: 'NoSchedule' }],
        capacity: { 'example.com/gpu': '2', cpu: '2' },
        reserved: { cpu: '500m', memory: '1Gi' },
      },
      { agent: 'v1', runtime: 'crun://1.21' },
      { conditions: [], images: [] },
    )
    assert.deepEqual(node.metadata.labels, {
      'kubernetes.io/arch': 'amd64',
      'kubernetes.io/hostname': 'n1',
      'kubernetes.io/os': 'linux',
      zone: 'a',
    })
    assert.deepEqual(node.status.capacity, {
      cpu: '2',
      memory: '8Gi',
      'ephemeral-storage': '100Gi',
      pods: '250',
      'example.com/gpu': '2',
    })
    assert.deepEqual(node.status.allocatable, {
      cpu: '1500m',
      memory: '7Gi',
      'ephemeral-storage': '100Gi',
      pods: '250',
      'example.com/gpu': '2',
    })
    assert.deepEqual(node.status.addresses, [
      { type: 'InternalIP', address: '192.0.2.1' },
      { type: 'Hostname', address: 'n1' },
    ])
    assert.deepEqual(node.spec.taints, [{ key: 'k', value: undefined, effect: 'NoSchedule' }])
    const { containerRuntimeVersion, kubeletVersion, kubeProxyVersion, systemUUID, machineID, bootID, architecture } =
      node.status.nodeInfo!
    assert.deepEqual(
      [containerRuntimeVersion, kubeletVersion, kubeProxyVersion, architecture],
      ['crun://1.21', 'v1', 'v1', 'amd64'],
    )
    assert.deepEqual(
      [systemUUID, machineID, bootID],
      [MACHINE.systemUuid || MACHINE.machineId, MACHINE.machineId, MACHINE.bootId],
    )
    assert.deepEqual(node.status.daemonEndpoints, { kubeletEndpoint: { Port: 10250 } })
    assert.match(KUBERNETES_VERSION, /^v\d+\.\d+\.\d+\+[0-9A-Za-z.-]+$/, 'semantic versioning, as programs parse it')
  })

  it('tells the images that are there, the largest first and fifty at most', () => {
    const settings = { name: 'n1', labels: {}, taints: [], capacity: {}, reserved: {} }
    const image = (reference: string, digest: string, size: number): Image => ({
      reference,
      digest,
      id: digest,
      size,
      config: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
    })
    const told = (images: Image[]): Node['status']['images'] =>
      nodeObject(MACHINE, settings, { agent: 'v1', runtime: 'crun://' }, { conditions: [], images }).status.images
    assert.deepEqual(
      told([
        image('docker.io/library/a:1', 'sha256:aa', 5),
        image('h:5000/b@sha256:bb', 'sha256:bb', 9),
        image('docker.io/library/a:latest', 'sha256:aa', 5),
      ]),
      [
        { names: ['h:5000/b@sha256:bb'], sizeBytes: 9 },
        {
          names: ['docker.io/library/a@sha256:aa', 'docker.io/library/a:1', 'docker.io/library/a:latest'],
          sizeBytes: 5,
        },
      ],
    )
    assert.equal(
      told(Array.from({ length: 60 }, (_, index) => image(`h/${index}:1`, `sha256:${index}`, index)))!.length,
      50,
    )
  })

  it('has what its control group has, where it shares its kernel with others', async () => {
    const limits = { memory: 512 * 2 ** 20, cpus: 0.5, processes: 100 }
    const stats = { memory: 500 * 2 ** 20, memoryPeak: 0, cpuNanos: 7, processes: 95 }
    const group = (given: Partial<typeof limits>, found: typeof stats | undefined = stats): MachineCgroup =>
      new MachineCgroup(
        {
          limits: () => Promise.resolve({ memory: undefined, cpus: undefined, processes: undefined, ...given }),
          stats: () => Promise.resolve(found),
        },
        '/lab/n1',
      )
    const own = await group(limits).machine(MACHINE)
    assert.deepEqual([own.memory, own.cpus, own.disk], [limits.memory, 0.5, MACHINE.disk])
    assert.deepEqual(
      nodeObject(
        own,
        { name: 'n1', labels: {}, taints: [], capacity: {}, reserved: {} },
        { agent: 'v1', runtime: 'crun://' },
        { conditions: [], images: [] },
      ).status.capacity!.cpu,
      '500m',
    )
    assert.deepEqual(await group({}).machine(MACHINE), MACHINE)
    const host = { memoryAvailable: 2 ** 30, diskFree: 0.5, inodesFree: 0.5, processes: 300, processLimit: 1000 }
    assert.deepEqual(await group(limits).levels(host), {
      ...host,
      memoryAvailable: 12 * 2 ** 20,
      processes: 95,
      processLimit: 100,
    })
    assert.deepEqual(await group({}).levels(host), host)
    const gone = new MachineCgroup(
      { limits: () => Promise.resolve(limits), stats: () => Promise.resolve(undefined) },
      '/lab/n1',
    )
    assert.deepEqual(await gone.levels(host), host)
  })

  it('tells pressure', async () => {
    const levels = { memoryAvailable: 50 * 2 ** 20, diskFree: 0.05, inodesFree: 0.5, processes: 95, processLimit: 100 }
    assert.deepEqual(
      pressureConditions(levels, 0).map(({ type, status, reason }) => [type, status, reason]),
      [
        ['MemoryPressure', 'True', 'InsufficientMemory'],
        ['DiskPressure', 'True', 'DiskFull'],
        ['PIDPressure', 'True', 'TooManyProcesses'],
      ],
    )
    assert.ok(
      pressureConditions({ ...levels, memoryAvailable: 2 ** 30, diskFree: 0.5, processes: 1 }, 0).every(
        (condition) => condition.status === 'False',
      ),
    )
    assert.ok((await readLevels(tmpdir())).processes > 0)
  })
})

describe('configuration of the agent', () => {
  function problems(text: string): string[] {
    try {
      parseConfig(text, 'agent.yaml', AGENT_SETTINGS)
    } catch (thrown) {
      return (thrown as GantryError).message.split('\n')
    }
    return []
  }

  it('fills in defaults', () => {
    const config = parseConfig(
      'controllers: ["10.0.0.1:7443"]\nlogs: { maxFiles: 3 }\nlabels: { zone: a }\n',
      'f',
      AGENT_SETTINGS,
    )
    assert.deepEqual(
      [config.name, config.stateDir, config.runDir, config.runtime, config.logs, config.labels],
      [
        undefined,
        '/var/lib/gantry/agent',
        '/run/gantry/agent',
        'auto',
        { maxFiles: 3, maxSize: '10Mi' },
        { zone: 'a' },
      ],
    )
    assert.deepEqual(parseConfig('{"controllers":["h:1"]}', 'f', AGENT_SETTINGS).controllers, ['h:1'])
  })

  it('refuses with the place and the nearest name', () => {
    assert.deepEqual(problems('controllers: [a]\nstatedir: /x\n'), [
      'agent.yaml:2:1: statedir is not a setting, did you mean "stateDir"?',
      'agent.yaml:1:15: controllers[0] must be HOST:PORT',
    ])
    assert.deepEqual(problems('controllers: ["h:1"]\ntls:\n  ca: /ca\n'), [
      'agent.yaml:3:3: tls.cert is missing',
      'agent.yaml:3:3: tls.key is missing',
    ])
    assert.deepEqual(problems('controllers: ["h:1"]\nruntime: docker\n'), [
      'agent.yaml:2:10: runtime must be one of auto, crun, runc',
    ])
    assert.deepEqual(problems('controllers: ["h:1"]\ncapacity: { cpu: 4x, gpu: "1" }\n'), [
      'agent.yaml:2:18: capacity.cpu must be a quantity, such as 500m or 2Gi',
      'agent.yaml:2:22: capacity.gpu is not a known resource: use cpu, memory, ephemeral-storage or an extended resource with a domain, such as example.com/gpu',
    ])
    assert.deepEqual(problems('controllers: ["h:1"]\nlabels: { a b: c, d: "e f" }\n').length, 2)
    assert.deepEqual(problems('controllers: ["h:1"]\ntaints: [{ key: k, effect: Never }]\n'), [
      'agent.yaml:2:28: taints[0].effect must be one of NoSchedule, PreferNoSchedule, NoExecute',
    ])
    assert.deepEqual(problems('controllers: ["h:1"]\npodPidsLimit: many\n'), [
      'agent.yaml:2:15: podPidsLimit must be a whole number, 1 or more',
    ])
    assert.deepEqual(problems('controllers: []\n'), ['agent.yaml:1:14: controllers must not be empty'])
    assert.deepEqual(problems(''), ['agent.yaml:1:1: controllers is missing'])
  })
})
