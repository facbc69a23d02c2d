import assert from 'node:assert/strict'
import type { ZoneRecord } from '../../../agent/dns/encode.ts'
import { dashed, serviceRecords } from '../../../agent/dns/service-records.ts'
import { textName } from '../../../agent/dns/wire-name.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import { service, slice } from './view.ts'

/** As in a zone file, without times to live. */
function lines(records: readonly ZoneRecord[]): string[] {
  return records
    .map((record) => {
      const owner = `${textName(record.name)} ${record.type}`
      switch (record.type) {
        case 'SRV':
          return `${owner} ${record.data.weight} ${record.data.port} ${textName(record.data.target)}`
        case 'PTR':
        case 'CNAME':
          return `${owner} ${textName(record.data)}`
        default:
          return `${owner} ${JSON.stringify(record.data).replaceAll('"', '')}`
      }
    })
    .sort()
}

const PORTS = [
  { name: 'http', port: 80, protocol: 'TCP' },
  { name: 'dns', port: 53, protocol: 'UDP' },
]

describe('records of a Service', () => {
  const cases: [what: string, service: Service, slices: EndpointSlice[], records: string[]][] = [
    [
      'an address of each family, named ports, and the way back',
      service('shop', 'web', {
        clusterIP: '10.96.0.7',
        clusterIPs: ['10.96.0.7', 'fd00:96::7'],
        ports: PORTS as never,
      }),
      [slice('shop', 'web-1', 'web', [{ address: '10.1.2.3' }])],
      [
        '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa PTR web.shop.svc.cluster.local',
        '7.0.96.10.in-addr.arpa PTR web.shop.svc.cluster.local',
        '_dns._udp.web.shop.svc.cluster.local SRV 100 53 web.shop.svc.cluster.local',
        '_http._tcp.web.shop.svc.cluster.local SRV 100 80 web.shop.svc.cluster.local',
        'web.shop.svc.cluster.local A 10.96.0.7',
        'web.shop.svc.cluster.local AAAA fd00:96::7',
      ],
    ],
    [
      'no SRV record for a port without a name',
      service('shop', 'web', { clusterIP: '10.96.0.7', ports: [{ port: 80 }] as never }),
      [],
      ['7.0.96.10.in-addr.arpa PTR web.shop.svc.cluster.local', 'web.shop.svc.cluster.local A 10.96.0.7'],
    ],
    [
      'every ready endpoint of a headless Service, by hostname or address',
      service('shop', 'db', { clusterIP: 'None' }),
      [
        slice(
          'shop',
          'db-1',
          'db',
          [
            { address: '10.1.2.3', hostname: 'db-0' },
            { address: '10.1.2.4', ready: true },
            { address: '10.1.2.5', ready: false },
          ],
          [{ name: 'pg', port: 5432 }],
        ),
      ],
      [
        '10-1-2-4.db.shop.svc.cluster.local A 10.1.2.4',
        '3.2.1.10.in-addr.arpa PTR db-0.db.shop.svc.cluster.local',
        '4.2.1.10.in-addr.arpa PTR 10-1-2-4.db.shop.svc.cluster.local',
        '_pg._tcp.db.shop.svc.cluster.local SRV 50 5432 10-1-2-4.db.shop.svc.cluster.local',
        '_pg._tcp.db.shop.svc.cluster.local SRV 50 5432 db-0.db.shop.svc.cluster.local',
        'db-0.db.shop.svc.cluster.local A 10.1.2.3',
        'db.shop.svc.cluster.local A 10.1.2.3',
        'db.shop.svc.cluster.local A 10.1.2.4',
      ],
    ],
    [
      'unready endpoints too where that is asked for',
      service('shop', 'db', { clusterIP: 'None', publishNotReadyAddresses: true }),
      [slice('shop', 'db-1', 'db', [{ address: '10.1.2.5', hostname: 'db-0', ready: false }])],
      [
        '5.2.1.10.in-addr.arpa PTR db-0.db.shop.svc.cluster.local',
        'db-0.db.shop.svc.cluster.local A 10.1.2.5',
        'db.shop.svc.cluster.local A 10.1.2.5',
      ],
    ],
    [
      'both families of one host once',
      service('shop', 'db', { clusterIP: 'None' }),
      [
        slice('shop', 'a', 'db', [{ address: '10.1.2.3', hostname: 'db-0' }], [{ name: 'pg', port: 5432 }]),
        slice('shop', 'b', 'db', [{ address: 'fd00:1::3', hostname: 'db-0' }], [{ name: 'pg', port: 5432 }]),
      ],
      [
        '3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa PTR db-0.db.shop.svc.cluster.local',
        '3.2.1.10.in-addr.arpa PTR db-0.db.shop.svc.cluster.local',
        '_pg._tcp.db.shop.svc.cluster.local SRV 100 5432 db-0.db.shop.svc.cluster.local',
        'db-0.db.shop.svc.cluster.local A 10.1.2.3',
        'db-0.db.shop.svc.cluster.local AAAA fd00:1::3',
        'db.shop.svc.cluster.local A 10.1.2.3',
        'db.shop.svc.cluster.local AAAA fd00:1::3',
      ],
    ],
    [
      'nothing for a headless Service that nobody is ready for',
      service('shop', 'db', { clusterIP: 'None' }),
      [slice('shop', 'a', 'db', [{ address: '10.1.2.3', ready: false }])],
      [],
    ],
    [
      'an alias',
      service('shop', 'mail', { type: 'ExternalName', externalName: 'Mail.example.com.' }),
      [],
      ['mail.shop.svc.cluster.local CNAME mail.example.com'],
    ],
    ['nothing before there is an address', service('shop', 'web', {}), [], []],
  ]
  for (const [what, object, slices, records] of cases)
    it(`are ${what}`, () => assert.deepEqual(lines(serviceRecords(object, slices, 'cluster.local')), records))

  it('name an address in one label', () => {
    for (const [address, label] of [
      ['10.1.2.3', '10-1-2-3'],
      ['fd00::5', 'fd00--5'],
      ['::1', '0--1'],
      ['fd00::', 'fd00--0'],
    ] as const)
      assert.equal(dashed(address), label)
  })
})
