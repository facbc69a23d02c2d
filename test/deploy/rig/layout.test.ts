import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parse } from 'yaml'
import {
  certificateOf,
  controllerSlots,
  freeNodeNumbers,
  machineSpec,
  MAX_NODES,
  nodeSlot,
  REGISTRY_SLOT,
  type LayoutContext,
} from '../../../deploy/rig/layout.ts'
import type { MachineSpec } from '../../../deploy/rig/contract.ts'

const PAIR = { cert: 'CERT', key: 'KEY' }

function scene(options: Partial<LayoutContext['options']> = {}): LayoutContext {
  return {
    rig: 'lab',
    authority: 'CA',
    installation: { node: '/usr/bin/node', dist: '/opt/gantry/dist' },
    hostOf: ({ index }) => `10.87.0.${index}`,
    options: { controllers: 1, nodes: 3, diskBytes: 1000, ...options },
  }
}

function settings(spec: MachineSpec): Record<string, unknown> {
  return parse(spec.files.at(-1)!.content) as Record<string, unknown>
}

describe('the layout of a rig', () => {
  it('gives every machine a number of its own, whatever the counts', () => {
    for (const controllers of [1, 3, 5]) {
      const slots = [
        ...controllerSlots(controllers),
        REGISTRY_SLOT,
        ...Array.from({ length: MAX_NODES }, (_, at) => nodeSlot(at + 1)),
      ]
      assert.equal(new Set(slots.map(({ index }) => index)).size, slots.length)
      assert.equal(new Set(slots.map(({ name }) => name)).size, slots.length)
      assert.ok(slots.every(({ index }) => index >= 2 && index <= 254))
    }
    assert.deepEqual(
      controllerSlots(3).map(({ name, index }) => [name, index]),
      [
        ['controller-1', 2],
        ['controller-2', 4],
        ['controller-3', 5],
      ],
    )
  })

  it('gives new nodes the lowest free numbers', () => {
    assert.deepEqual(freeNodeNumbers(['n1', 'controller', 'registry', 'n3'], 3), [2, 4, 5])
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: MAX_NODES })),
        fc.integer({ min: 0, max: 20 }),
        (taken, count) => {
          const free = freeNodeNumbers(
            taken.map((number) => `n${number}`),
            count,
          )
          assert.equal(free.length, Math.min(count, MAX_NODES - taken.length))
          assert.ok(free.every((number) => !taken.includes(number)))
        },
      ),
    )
  })

  it('tells a lone controller nothing of members, and several of each other', () => {
    const alone = settings(machineSpec(scene(), controllerSlots(1)[0]!, PAIR))
    assert.equal(alone.members, undefined)
    assert.equal(alone.listen, '10.87.0.2:7443')
    const three = controllerSlots(3).map((slot) => settings(machineSpec(scene({ controllers: 3 }), slot, PAIR)))
    for (const { members } of three)
      assert.deepEqual(members, [
        { name: 'controller-1', address: '10.87.0.2' },
        { name: 'controller-2', address: '10.87.0.4' },
        { name: 'controller-3', address: '10.87.0.5' },
      ])
    assert.deepEqual(
      three.map(({ name }) => name),
      ['controller-1', 'controller-2', 'controller-3'],
    )
  })

  it('hands a given etcd and NATS on, without members', () => {
    const given = settings(
      machineSpec(
        scene({ controllers: 3, etcd: ['https://h:2379'], nats: ['nats://h:4222'] }),
        controllerSlots(3)[1]!,
        PAIR,
      ),
    )
    assert.deepEqual([given.etcd, given.nats, given.members], [['https://h:2379'], ['nats://h:4222'], undefined])
  })

  it('hands further settings on to the programs that they are for', () => {
    const given = { settings: { controller: { podCidr: '10.1.0.0/16' }, agent: { network: { overlay: 'vxlan' } } } }
    const [controller, agent] = [controllerSlots(1)[0]!, nodeSlot(1)].map((slot) =>
      settings(machineSpec(scene(given), slot, PAIR)),
    )
    assert.deepEqual(
      [controller!.podCidr, controller!.network, controller!.name],
      ['10.1.0.0/16', undefined, 'controller'],
    )
    assert.deepEqual([agent!.network, agent!.podCidr, agent!.name], [{ overlay: 'vxlan' }, undefined, 'n1'])
  })

  it('tells a node of every controller and of the registry', () => {
    const spec = machineSpec(scene({ controllers: 3, memoryBytes: 5, cpus: 0.5 }), nodeSlot(2), PAIR)
    assert.equal(spec.program.name, 'agent')
    assert.deepEqual(spec.program.command.slice(-4), [
      '/usr/bin/node',
      '/opt/gantry/dist/gantry-agent.cjs',
      '--config',
      '/var/lib/gantry/rigs/lab/n2/config.yaml',
    ])
    const agent = settings(spec)
    assert.deepEqual(agent.controllers, ['10.87.0.2:7443', '10.87.0.4:7443', '10.87.0.5:7443'])
    assert.deepEqual(agent.registries, {
      mirrors: { 'docker.io': ['http://10.87.0.3:5000'], '10.87.0.3:5000': [], '*': ['http://10.87.0.3:5000/v2/*'] },
      insecure: ['10.87.0.3:5000'],
    })
    assert.deepEqual([agent.cgroupParent, agent.machineCgroup], ['/gantry-rig/lab/n2', '/gantry-rig/lab/n2'])
    assert.deepEqual([spec.memoryBytes, spec.cpus, spec.diskBytes, spec.runDir], [5, 0.5, 1000, '/run/gantry/lab/n2'])
    assert.ok(String(agent.stateDir).startsWith(`${spec.stateDir}/`))
  })

  it("keeps keys to their owner, and state on the machine's own disk", () => {
    for (const slot of [...controllerSlots(1), nodeSlot(1)]) {
      const key = machineSpec(scene(), slot, PAIR).files.find(({ content }) => content === 'KEY')!
      assert.ok(key.mode === undefined || key.mode === 0o600)
    }
    const registry = machineSpec(scene(), REGISTRY_SLOT, undefined)
    const { storage } = settings(registry) as { storage: { filesystem: { rootdirectory: string } } }
    assert.ok(storage.filesystem.rootdirectory.startsWith(`${registry.stateDir}/`))
  })

  it('asks for certificates that name who a machine is', () => {
    assert.deepEqual(certificateOf(nodeSlot(3), scene()), {
      commonName: 'system:node:n3',
      organizations: ['system:nodes'],
    })
    const { hosts } = certificateOf(controllerSlots(3)[2]!, scene())!
    for (const host of [
      '10.87.0.5',
      'localhost',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
      '10.96.0.1',
    ])
      assert.ok(hosts!.includes(host), host)
    const other = certificateOf(
      controllerSlots(1)[0]!,
      scene({ settings: { controller: { serviceCidr: '10.1.0.0/16,fd00:10:96::/112', clusterDomain: 'lab.test' } } }),
    )
    for (const host of ['kubernetes.default.svc.lab.test', '10.1.0.1', 'fd00:10:96::1'])
      assert.ok(other!.hosts!.includes(host), host)
    assert.equal(certificateOf(REGISTRY_SLOT, scene()), undefined)
  })

  it('leaves the sockets of etcd room in their path, for the longest names', () => {
    const spec = machineSpec({ ...scene({ controllers: 3 }), rig: 'r'.repeat(32) }, controllerSlots(3)[0]!, PAIR)
    assert.ok(`${String(settings(spec).dataDir)}/etcd/clients:0`.length <= 107)
  })
})
