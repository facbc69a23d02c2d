import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  advertisedAddress,
  checkConfig,
  CONTROLLER_SETTINGS,
  kubeAdvertisedAddress,
  processListen,
  type ControllerConfig,
} from '../../../controller/config.ts'
import { memberArguments } from '../../../controller/supervise/etcd-members.ts'
import { checkRecord, type Membership } from '../../../controller/supervise/membership.ts'
import { ROUTE_SECRET_KEY, routeSecret } from '../../../controller/supervise/route-secret.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { parseConfig } from '../../../proto/base/config-file.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'

const TLS = 'tls: { ca: /ca, cert: /cert, key: /key }'
const THREE =
  'members: [{ name: a, address: 10.0.0.1 }, { name: b, address: 10.0.0.2 }, { name: c, address: 10.0.0.3 }]'

function config(...lines: string[]): ControllerConfig {
  return parseConfig(['name: b', TLS, ...lines].join('\n'), 'f', CONTROLLER_SETTINGS)
}

const membership: Membership = {
  self: config(THREE).members[1]!,
  members: config(THREE).members,
  tls: { ca: '/ca', cert: '/cert', key: '/key' },
}

describe('members in the settings', () => {
  it('are none by default, and of two ports', () => {
    const alone = config()
    checkConfig(alone)
    assert.deepEqual(
      [alone.members, alone.ports],
      [[], { nats: 4222, etcdPeer: 2380, natsPeer: 6222, processes: 7450 }],
    )
    checkConfig(config(THREE))
    checkConfig(config('etcd: [http://h:2379]', 'nats: [nats://h:4222]'))
  })

  const refused: readonly [what: string, lines: string[], message: string][] = [
    [
      'without this one',
      [THREE.replace('name: b', 'name: x')],
      'members: none of them is this controller, b; they are a, x, c',
    ],
    ['with one name twice', [THREE.replace('name: c', 'name: a')], 'members: two of them have the name a'],
    [
      'with one address twice',
      [THREE.replace('10.0.0.3', '10.0.0.1')],
      'members: two of them have the address 10.0.0.1',
    ],
    [
      'beside an etcd that is there already',
      [THREE, 'etcd: [http://h:2379]'],
      'members: the controllers named there run etcd and NATS themselves, but etcd names servers that are there already: leave out one or the other',
    ],
    [
      'beside a NATS that is there already',
      [THREE, 'nats: [nats://h:4222]'],
      'members: the controllers named there run etcd and NATS themselves, but nats names servers that are there already: leave out one or the other',
    ],
    [
      'with one port for two things',
      [THREE, 'ports: { natsPeer: 2380 }'],
      'ports.natsPeer: 2380 is the port of ports.etcdPeer, too',
    ],
    [
      'with a port of its processes taken',
      [THREE, 'serve: 2', 'ports: { processes: 2379 }'],
      'ports.processes: 2380 is the port of ports.etcdPeer, too',
    ],
    [
      'with more processes than ports',
      [THREE, 'serve: 100', 'ports: { processes: 65500 }'],
      'ports.processes: serve: 100 takes the ports 65500 to 65601, and there are 65535',
    ],
    [
      'with the name of a process',
      [THREE.replace('name: c', 'name: b-0'), 'serve: 2'],
      'members: b-0 may be the name of one of the processes of b: give the member another',
    ],
    [
      'with the port for agents taken',
      [THREE, 'listen: 10.0.0.2:6222'],
      'ports.natsPeer: 6222 is the port of listen, too',
    ],
  ]
  for (const [what, lines, message] of refused) {
    it(`are refused ${what}`, () =>
      assert.throws(
        () => checkConfig(config(...lines)),
        (error: GantryError) =>
          (error.code === 'InvalidArgument' && error.message === message) || assert.fail(error.message),
      ))
  }

  it('are addresses and names, not more', () => {
    assert.throws(
      () => config('members: [{ name: A_b, address: host.example }]'),
      (error: GantryError) => /members\[0\]\.name .*\n.*members\[0\]\.address is not an IP address/.test(error.message),
    )
    assert.throws(
      () => config('members: [{ name: a, address: 10.0.0.1, port: 1 }]'),
      /members\[0\]\.port is not a setting/,
    )
  })

  it('say where a controller is reached that listens everywhere', () => {
    assert.equal(advertisedAddress(config(THREE)), '10.0.0.2:7443')
    assert.equal(advertisedAddress(config(THREE, 'listen: 10.9.0.1:7000')), '10.9.0.1:7000')
    assert.equal(advertisedAddress(config(THREE, 'listen: "[::]:7000"', 'advertise: c.example:443')), 'c.example:443')
    assert.equal(kubeAdvertisedAddress(config(THREE), '0.0.0.0:6443'), '10.0.0.2:6443')
    assert.equal(kubeAdvertisedAddress(config(THREE, 'advertise: 10.9.0.1:443'), '[::]:6500'), '10.9.0.1:6500')
    assert.equal(kubeAdvertisedAddress(config(THREE), '10.8.0.1:6443'), '10.8.0.1:6443')
    assert.equal(processListen(config(THREE), '10.0.0.2:7451'), '0.0.0.0:7451')
    assert.equal(processListen(config(THREE, 'listen: "[fd00::2]:7000"'), 'c.example:7451'), '[fd00::2]:7451')
    assert.throws(
      () => checkConfig(config(THREE, 'kubeListen: 0.0.0.0:7443')),
      /kubeListen: 7443 is the port of listen, too/,
    )
    assert.equal(advertisedAddress(config(THREE.replace('10.0.0.2', '"fd00::2"'))), '[fd00::2]:7443')
    assert.match(advertisedAddress(config()), /^[^:]+:7443$/)
  })
})

describe("a member's etcd", () => {
  it('speaks to the others only over TLS, and only to controllers', () => {
    const args = memberArguments(membership, 2380, 'new')
    const value = (flag: string): string | undefined => args[args.indexOf(flag) + 1]
    assert.equal(value('--listen-peer-urls'), 'https://10.0.0.2:2380')
    assert.equal(value('--initial-cluster'), 'a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380')
    assert.equal(value('--initial-cluster-state'), 'new')
    assert.equal(value('--peer-cert-allowed-hostname'), 'gantry-controller')
    assert.ok(args.includes('--peer-client-cert-auth'))
  })

  describe('and its data', () => {
    let dir: string
    beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'gantry-members-'))))
    afterEach(() => rm(dir, { recursive: true, force: true }))

    it('belong to the members that they were made with, in whatever order', async () => {
      await checkRecord(dir, false, membership, 2380)
      assert.equal(
        await readFile(join(dir, 'members'), 'utf8'),
        'a=https://10.0.0.1:2380\nb=https://10.0.0.2:2380\nc=https://10.0.0.3:2380\n',
      )
      await checkRecord(dir, true, { ...membership, members: [...membership.members].reverse() }, 2380)
    })

    it('are not taken for those of others', async () => {
      await assert.rejects(
        checkRecord(dir, true, membership, 2380),
        (error: GantryError) =>
          error.code === 'FailedPrecondition' &&
          /are of one controller alone, not of a=https/.test(error.message) &&
          error.details[0]?.remedy !== '',
      )
      await checkRecord(dir, true, undefined, 2380)
      await checkRecord(dir, false, membership, 2380)
      await assert.rejects(checkRecord(dir, true, undefined, 2380), /not of one controller alone/)
      await assert.rejects(checkRecord(dir, true, membership, 2390), { code: 'FailedPrecondition' })
    })

    it('give way to others when they are gone', async () => {
      await checkRecord(dir, false, membership, 2380)
      await checkRecord(dir, false, membership, 2390)
      await checkRecord(dir, true, membership, 2390)
      await checkRecord(dir, false, undefined, 2390)
      await checkRecord(dir, true, undefined, 2390)
    })
  })
})

describe('the secret of the NATS routes', () => {
  it('is made once, and the same for all', async () => {
    const clock = new FakeClock()
    const store = new MemoryStore(clock)
    const parts = { clock, random: seededRandom(1), logger: silentLogger }
    const { signal } = new AbortController()
    const all = Promise.all([1, 2, 3].map(() => routeSecret(store, parts, signal)))
    await clock.advance(1_000)
    const secrets = await all
    assert.match(secrets[0]!, /^[0-9a-f]{64}$/)
    assert.equal(new Set(secrets).size, 1)
    assert.equal(Buffer.from((await store.get(ROUTE_SECRET_KEY))!.value).toString(), secrets[0])
  })

  it('is waited for while the store is away, until a stop', async () => {
    const clock = new FakeClock()
    const stop = new AbortController()
    const away = (): Promise<never> => Promise.reject(new GantryError('Unavailable', 'no leader'))
    const waiting = assert.rejects(
      routeSecret({ get: away, commit: away }, { clock, random: seededRandom(1), logger: silentLogger }, stop.signal),
      { name: 'AbortError' },
    )
    await clock.advance(60_000)
    stop.abort()
    await waiting
  })
})
