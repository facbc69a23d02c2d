import assert from 'node:assert/strict'
import {
  checkConfig,
  controllerAddresses,
  controllerPorts,
  CONTROLLER_SETTINGS,
  type ControllerConfig,
} from '../../controller/config.ts'
import { parseConfig } from '../../proto/base/config-file.ts'
import type { GantryError } from '../../proto/base/errors.ts'

function config(podCidr: string, serviceCidr: string): ControllerConfig {
  return parseConfig(
    JSON.stringify({ tls: { ca: 'a', cert: 'b', key: 'c' }, podCidr, serviceCidr }),
    'test',
    CONTROLLER_SETTINGS,
  )
}

describe("ranges of the cluster's addresses", () => {
  for (const [pods, services] of [
    ['10.244.0.0/16', '10.96.0.0/16'],
    ['10.244.0.0/16,fd00:10:244::/48', '10.96.0.0/16'],
    ['fd00:10:244::/48', 'fd00:10:96::/112'],
    ['10.244.0.0/16, fd00:10:244::/48', '10.96.0.0/16, fd00:10:96::/112'],
  ] as const) {
    it(`may be ${pods} for pods and ${services} for Services`, () =>
      assert.doesNotThrow(() => checkConfig(config(pods, services))))
  }

  for (const [what, pods, services, message] of [
    [
      'that overlap',
      '10.0.0.0/8',
      '10.96.0.0/16',
      /^serviceCidr: 10\.96\.0\.0\/16 overlaps with podCidr 10\.0\.0\.0\/8$/,
    ],
    [
      'of a family that pods have none of',
      '10.244.0.0/16',
      '10.96.0.0/16,fd00:10:96::/112',
      /^serviceCidr: fd00:10:96::\/112 is IPv6, and podCidr 10\.244\.0\.0\/16 has no such range/,
    ],
    [
      'of Services that do not begin at their first address',
      '10.244.0.0/16',
      '10.96.0.1/16',
      /serviceCidr must be a range of a \/8 to \/29/,
    ],
    ['of Services that are too large', 'fd00:10:244::/48', 'fd00:10:96::/64', /serviceCidr must be a range/],
    [
      'of one family twice',
      '10.244.0.0/16,10.245.0.0/16',
      '10.96.0.0/16',
      /podCidr must be a range of a \/24 or larger/,
    ],
  ] as const)
    it(`are refused ${what}`, () =>
      assert.throws(
        () => checkConfig(config(pods, services)),
        (error: GantryError) =>
          (error.code === 'InvalidArgument' && message.test(error.message)) || assert.fail(error.message),
      ))
})

describe('ranges of external addresses', () => {
  const parsed = (externalCidrs: readonly string[]): ControllerConfig =>
    parseConfig(JSON.stringify({ tls: { ca: 'a', cert: 'b', key: 'c' }, externalCidrs }), 'test', CONTROLLER_SETTINGS)

  it('are none, unless the setting lists some', () => {
    assert.deepEqual(
      parseConfig(JSON.stringify({ tls: { ca: 'a', cert: 'b', key: 'c' } }), 'test', CONTROLLER_SETTINGS).externalCidrs,
      [],
    )
    assert.doesNotThrow(() => checkConfig(parsed(['203.0.113.0/24', '2001:db8::/64'])))
  })

  it('are refused where they are none, or overlap with those of pods or Services', () => {
    for (const cidr of ['203.0.113.1/24', '203.0.113.0', 'x'])
      assert.throws(() => parsed([cidr]), {
        code: 'InvalidArgument',
        message: /must be a range that begins at its first address/,
      })
    for (const cidr of ['10.244.7.0/24', '10.0.0.0/8', '10.96.0.0/30'])
      assert.throws(() => checkConfig(parsed([cidr])), {
        code: 'InvalidArgument',
        message: /^externalCidrs: \S+ overlaps with \S+, which pods or Services have/,
      })
  })

  it('leave out the addresses of controllers', () => {
    const config = parseConfig(
      JSON.stringify({
        tls: { ca: 'a', cert: 'b', key: 'c' },
        name: 'a',
        advertise: '[2001:db8::9]:7443',
        listen: '192.0.2.1:7444',
        members: [{ name: 'a', address: '192.0.2.2' }],
      }),
      'test',
      CONTROLLER_SETTINGS,
    )
    assert.deepEqual(controllerAddresses(config), ['192.0.2.1', '0.0.0.0', '2001:db8::9', '192.0.2.2'])
    assert.deepEqual(
      controllerPorts(config).map(({ port }) => port),
      [7444, 6443, 4222, 2380, 6222],
    )
  })
})

describe('settings of a controller with several processes', () => {
  const TLS = { tls: { ca: 'a', cert: 'b', key: 'c' }, name: 'c1' }
  const MEMBERS = [
    { name: 'c1', address: '192.0.2.1' },
    { name: 'c2', address: '192.0.2.2' },
  ]

  const check = (settings: object): void =>
    checkConfig(parseConfig(JSON.stringify({ ...TLS, ...settings }), 'test', CONTROLLER_SETTINGS))

  it('are taken, alone and with members', () => {
    check({ serve: 4 })
    check({ serve: 4, members: MEMBERS })
    // With one process nothing listens there.
    check({ kubeListen: '0.0.0.0:7451' })
  })

  for (const [settings, message] of [
    [{ serve: 2, kubeListen: '0.0.0.0:7450' }, /^ports\.processes: 7450 is the port of kubeListen, too$/],
    [{ serve: 2, listen: '0.0.0.0:7453' }, /^ports\.processes: 7453 is the port of listen, too$/],
    [{ serve: 2, ports: { processes: 4220 } }, /^ports\.processes: 4222 is the port of ports\.nats, too$/],
    [
      { serve: 2, ports: { processes: 6222 }, members: MEMBERS },
      /^ports\.processes: 6222 is the port of ports\.natsPeer, too$/,
    ],
  ] as const)
    it(`are refused: ${JSON.stringify(settings)}`, () =>
      assert.throws(() => check(settings), { code: 'InvalidArgument', message }))

  it('may have the port of a NATS that is not its own', () =>
    check({ serve: 2, ports: { processes: 4220 }, nats: ['nats.example:4222'], etcd: ['etcd.example:2379'] }))
})
