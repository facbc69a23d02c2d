import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { ZoneRecord } from '../../../agent/dns/encode.ts'
import { RCODE, TYPE } from '../../../agent/dns/message.ts'
import { ServiceRecordIndex } from '../../../agent/dns/service-record-index.ts'
import { labelsOf, textName, wireName } from '../../../agent/dns/wire-name.ts'
import { Zone, type LookupResult } from '../../../agent/dns/zone.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import { changed, RANGES, service, slice, view } from './view.ts'

const SETTINGS = { ...RANGES.cluster, address: '169.254.20.10' }

function zoneOf(objects: readonly (Service | EndpointSlice)[]): Zone {
  const zone = new Zone(SETTINGS)
  for (const [source, records] of new ServiceRecordIndex().all(view(objects))) zone.set(source, records)
  return zone
}

function short(finding: LookupResult | undefined): string {
  if (finding === undefined) return 'not ours'
  const show = (records: readonly ZoneRecord[]): string =>
    records
      .map((record) =>
        record.type === 'SRV'
          ? `${record.data.port}:${textName(record.data.target)}`
          : ['CNAME', 'PTR', 'NS'].includes(record.type)
            ? textName(record.data as string)
            : String(record.data),
      )
      .join(' ')
  if (finding.kind === 'chase') return `${show(finding.records)} and on to ${textName(finding.target)}`
  const { rcode, answer, authority, additional } = finding.sections
  if (rcode === RCODE.SERVFAIL) return 'failure'
  return `${rcode === RCODE.NXDOMAIN ? 'no such name' : authority.length > 0 ? 'no such record' : ''}${show(answer)}${additional.length > 0 ? ` with ${show(additional)}` : ''}`
}

describe('the zone', () => {
  const zone = zoneOf([
    service('shop', 'web', { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] as never }),
    service('shop', 'db', { clusterIP: 'None' }),
    slice('shop', 'db-1', 'db', [{ address: '10.1.2.3', hostname: 'db-0' }], [{ name: 'pg', port: 5432 }]),
    service('shop', 'empty', { clusterIP: 'None' }),
    service('shop', 'ext', { type: 'ExternalName', externalName: 'example.com' }),
    service('shop', 'inner', { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' }),
    service('shop', 'gone', { type: 'ExternalName', externalName: 'nobody.shop.svc.cluster.local' }),
    service('shop', 'ring', { type: 'ExternalName', externalName: 'ring.shop.svc.cluster.local' }),
  ])
  const cases: [name: string, type: keyof typeof TYPE, found: string][] = [
    ['web.shop.svc.cluster.local', 'A', '10.96.0.7'],
    ['web.shop.svc.cluster.local', 'AAAA', 'no such record'],
    ['nobody.shop.svc.cluster.local', 'A', 'no such name'],
    ['shop.svc.cluster.local', 'A', 'no such record'],
    ['svc.cluster.local', 'A', 'no such record'],
    ['pod.cluster.local', 'A', 'no such record'],
    ['_tcp.web.shop.svc.cluster.local', 'SRV', 'no such record'],
    ['other.svc.cluster.local', 'A', 'no such name'],
    ['empty.shop.svc.cluster.local', 'A', 'no such name'],
    ['_http._tcp.web.shop.svc.cluster.local', 'SRV', '80:web.shop.svc.cluster.local with 10.96.0.7'],
    ['db-0.db.shop.svc.cluster.local', 'A', '10.1.2.3'],
    ['_pg._tcp.db.shop.svc.cluster.local', 'SRV', '5432:db-0.db.shop.svc.cluster.local with 10.1.2.3'],
    ['3.2.1.10.in-addr.arpa', 'PTR', 'db-0.db.shop.svc.cluster.local'],
    ['3.2.1.10.in-addr.arpa', 'A', 'no such record'],
    ['9.2.1.10.in-addr.arpa', 'PTR', 'no such name'],
    ['9.2.9.10.in-addr.arpa', 'PTR', 'not ours'],
    ['2.1.10.in-addr.arpa', 'PTR', 'not ours'],
    [`${'0.'.repeat(27)}1.0.0.0.0.0.d.f.ip6.arpa`, 'PTR', 'not ours'],
    [`5.${'0.'.repeat(22)}0.1.0.0.0.0.0.d.f.ip6.arpa`, 'PTR', 'no such name'],
    ['ext.shop.svc.cluster.local', 'A', 'example.com and on to example.com'],
    ['ext.shop.svc.cluster.local', 'CNAME', 'example.com'],
    ['inner.shop.svc.cluster.local', 'A', 'web.shop.svc.cluster.local 10.96.0.7'],
    ['inner.shop.svc.cluster.local', 'AAAA', 'no such recordweb.shop.svc.cluster.local'],
    ['gone.shop.svc.cluster.local', 'A', 'no such namenobody.shop.svc.cluster.local'],
    ['ring.shop.svc.cluster.local', 'A', 'failure'],
    ['10-1-2-3.any.pod.cluster.local', 'A', '10.1.2.3'],
    ['10-1-2-3.any.pod.cluster.local', 'AAAA', 'no such record'],
    ['fd00-1--5.any.pod.cluster.local', 'AAAA', 'fd00:1::5'],
    ['192-0-2-1.any.pod.cluster.local', 'A', 'no such name'],
    ['x.any.pod.cluster.local', 'A', 'no such name'],
    ['any.pod.cluster.local', 'A', 'no such record'],
    ['a.10-1-2-3.any.pod.cluster.local', 'A', 'no such name'],
    ['dns-version.cluster.local', 'TXT', '1.1.0'],
    ['cluster.local', 'NS', 'ns.dns.cluster.local with 169.254.20.10'],
    ['web.shop.svc.cluster.local.svc.cluster.local', 'A', 'no such name'],
    ['example.com.cluster.local', 'A', 'no such name'],
    ['example.com', 'A', 'not ours'],
    ['notcluster.local', 'A', 'not ours'],
    ['local', 'A', 'not ours'],
    ['web.shop.svc.cluster.local', 'ANY', 'RFC8482'],
  ]
  for (const [name, type, found] of cases)
    it(`answers ${name} ${type}`, () => assert.equal(short(zone.find(wireName(name), TYPE[type])), found))

  it('is not fooled by a label that holds the bytes of other labels', () => {
    const inner = wireName('a.cluster.local')
    assert.equal(zone.find(String.fromCharCode(inner.length) + inner, TYPE.A), undefined)
    assert.deepEqual(labelsOf(String.fromCharCode(inner.length) + inner), [inner])
  })

  it('says the same after any changes as one made anew', () => {
    const names = fc.constantFrom('a', 'b', 'c')
    const namespaces = fc.constantFrom('x', 'y')
    const address = fc.constantFrom('10.1.2.3', '10.1.2.4', 'fd00:1::3')
    const services = fc.record({
      kind: fc.constant('service' as const),
      namespace: namespaces,
      name: names,
      to: fc.oneof(
        fc.constantFrom<Partial<Service['spec']>>(
          { clusterIP: 'None' },
          { clusterIP: '10.96.0.7', ports: [{ name: 'p', port: 1, protocol: 'TCP' }] as never },
          { type: 'ExternalName', externalName: 'a.x.svc.cluster.local' },
        ),
        fc.constant(undefined),
      ),
    })
    const slices = fc.record({
      kind: fc.constant('slice' as const),
      namespace: namespaces,
      name: fc.constantFrom('s1', 's2', 's3'),
      to: fc.option(
        fc.record({
          of: names,
          endpoints: fc.array(fc.record({ address, hostname: fc.constantFrom('h0', 'h1'), ready: fc.boolean() }), {
            maxLength: 3,
          }),
        }),
        { nil: undefined },
      ),
    })
    const questions = ['a', 'b', 'c']
      .flatMap((name) =>
        ['x', 'y'].flatMap((namespace) => [
          `${name}.${namespace}`,
          `h0.${name}.${namespace}`,
          `_p._tcp.${name}.${namespace}`,
          `_tcp.${name}.${namespace}`,
          namespace,
        ]),
      )
      .map((name) => `${name}.svc.cluster.local`)
      .concat('3.2.1.10.in-addr.arpa', '4.2.1.10.in-addr.arpa', '7.0.96.10.in-addr.arpa')
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.oneof(services, slices), { minLength: 1, maxLength: 3 }), { maxLength: 12 }),
        (rounds) => {
          const objects = new Map<string, Service | EndpointSlice>()
          const book = new ServiceRecordIndex()
          const grown = new Zone(SETTINGS)
          for (const [source, records] of book.all(view([]))) grown.set(source, records)
          for (const round of rounds) {
            const keys = round.map((step) => {
              const key = `${step.kind === 'service' ? 'Service' : 'EndpointSlice'}/${step.namespace}/${step.name}`
              if (step.to === undefined) objects.delete(key)
              else if (step.kind === 'service') objects.set(key, service(step.namespace, step.name, step.to))
              else
                objects.set(
                  key,
                  slice(step.namespace, step.name, step.to.of, step.to.endpoints, [{ name: 'p', port: 5 }]),
                )
              return key
            })
            for (const [source, records] of book.changed(view([...objects.values()]), changed(...keys)))
              grown.set(source, records)
          }
          const anew = zoneOf([...objects.values()])
          const sorted = (zone: Zone, name: string, type: number): string =>
            short(zone.find(wireName(name), type))
              .split(' ')
              .sort()
              .join(' ')
          for (const name of questions)
            for (const type of [TYPE.A, TYPE.AAAA, TYPE.SRV, TYPE.PTR])
              assert.equal(sorted(grown, name, type), sorted(anew, name, type), `${name} ${type}`)
        },
      ),
      { numRuns: 150 },
    )
  })
})
