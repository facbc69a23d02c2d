/** A rig whose controllers use an etcd and a NATS that are there already: those of a machine of another rig. */
import assert from 'node:assert/strict'
import { removeRig } from '../../deploy/rig/removal.ts'
import { Rig } from '../../deploy/rig/rig.ts'
import { rigName } from '../e2e/cluster.ts'

describe('a rig with an etcd and a NATS that are there already', function () {
  this.timeout(120_000)
  const names = ['stores', 'given'].map(rigName)
  const rigs: Rig[] = []

  before(() => Promise.all(names.map(removeRig)))

  after(async () => {
    for (const rig of rigs.reverse()) await rig.down()
  })

  it('has three controllers on them, of which one leads, and runs none of its own', async () => {
    const warn = (text: string): void => assert.ok(!text.includes(names[0]!) && !text.includes(names[1]!), text)
    const stores = await Rig.up({ name: names[0]!, nodes: 0, demo: false, warn })
    rigs.push(stores)
    const machine = stores.machine('registry')
    const start = (command: string): Promise<unknown> =>
      machine.run([
        'sh',
        '-c',
        `mkdir -p /run/gantry/${stores.name}/given && cd /run/gantry/${stores.name}/given && PATH="$PATH:/usr/sbin" setsid ${command} >>log 2>&1 </dev/null &`,
      ])
    const etcd = `http://${machine.address}:2379`
    await start(`etcd --data-dir etcd --listen-client-urls ${etcd} --advertise-client-urls ${etcd}`)
    await start(`nats-server --addr ${machine.address} --port 4222 --jetstream --store_dir nats`)

    const rig = await Rig.up({
      name: names[1]!,
      nodes: 1,
      controllers: 3,
      etcd: [etcd],
      nats: [`nats://${machine.address}:4222`],
      warn,
    })
    rigs.push(rig)
    await rig.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'stored' },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000'] }],
      },
    })
    await rig.until('pod/stored', 'Ready')
    for (const number of [1, 2, 3]) {
      const running = (await rig.controller(number).run(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'])).stdout
      assert.match(running, /gantry-controller\.cjs --config/)
      assert.doesNotMatch(running, /etcd --|nats-server /)
    }
    const keys = await machine.run(
      ['sh', '-c', `cat /run/gantry/${stores.name}/given/etcd/member/snap/db | grep -c /gantry/`],
      { allow: [0, 1] },
    )
    assert.notEqual(keys.stdout.trim(), '0')
    await rig.eventually(async () => /Started/.test((await rig.gantry(['events', '--for', 'pod/stored'])).stdout))

    const { stdout } = await rig.gantry(['version'])
    const leader = /leader (controller-\d)/.exec(stdout)?.[1] ?? assert.fail(stdout)
    await rig.machine(leader).kill()
    await rig.eventually(async () => {
      const next = /leader (controller-\d)/.exec((await rig.gantry(['version'])).stdout)?.[1]
      return (next !== undefined && next !== leader) || `${next} leads`
    })
    await rig.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'after' }, data: { a: '1' } })
  })
})
