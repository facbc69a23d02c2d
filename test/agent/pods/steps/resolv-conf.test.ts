import assert from 'node:assert/strict'
import { parseResolvConf } from '../../../../agent/dns/resolv-conf.ts'
import { podResolver } from '../../../../agent/dns/node-link.ts'
import { hostsFile, podFullName, sandboxHostname } from '../../../../agent/pods/steps/pod-files.ts'
import { podResolvConf } from '../../../../agent/pods/steps/resolv-conf.ts'
import { validatePodSpec } from '../../../../proto/validation/pod.ts'
import { Report } from '../../../../proto/validation/report.ts'
import type { PodSpec } from '../../../../proto/gen/types.ts'
import { makePod } from '../../fakes.ts'

const NODE = parseResolvConf(
  '# the node\ndomain old.example\nsearch corp.example. example\nnameserver 192.0.2.53\nnameserver 192.0.2.54 ; second\noptions edns0 timeout:9\n',
)
const CLUSTER = { resolver: '169.254.20.10', domain: 'cluster.local' }
const conf = (spec: Partial<PodSpec>, node = NODE): string[] =>
  podResolvConf(makePod('web', spec), node, CLUSTER).trimEnd().split('\n')

describe("a pod's resolv.conf", () => {
  const SEARCH = 'search default.svc.cluster.local svc.cluster.local cluster.local corp.example example'
  const OPTIONS = 'options ndots:5 timeout:2 attempts:3'
  const OWN = [
    'search corp.example example',
    'nameserver 192.0.2.53',
    'nameserver 192.0.2.54',
    'options edns0 timeout:9',
  ]
  const cases: [what: string, spec: Partial<PodSpec>, lines: string[]][] = [
    ['the cluster first', {}, [SEARCH, 'nameserver 169.254.20.10', OPTIONS]],
    ['the node, in its network', { hostNetwork: true }, OWN],
    [
      "the cluster in the node's network, where asked for",
      { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' },
      [SEARCH, 'nameserver 169.254.20.10', OPTIONS],
    ],
    ['the node', { dnsPolicy: 'Default' }, OWN],
    [
      'what the pod says alone',
      {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['192.0.2.1'],
          searches: ['a.example'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
      ['search a.example', 'nameserver 192.0.2.1', 'options ndots:2 edns0'],
    ],
    [
      'what the pod adds',
      {
        dnsConfig: {
          nameservers: ['192.0.2.1', '169.254.20.10'],
          searches: ['a.example', 'corp.example'],
          options: [{ name: 'ndots', value: '1' }, { name: 'use-vc' }],
        },
      },
      [
        `${SEARCH} a.example`,
        'nameserver 169.254.20.10',
        'nameserver 192.0.2.1',
        'options ndots:1 timeout:2 attempts:3 use-vc',
      ],
    ],
    [
      'three servers at most',
      { dnsPolicy: 'Default', dnsConfig: { nameservers: ['192.0.2.1', '192.0.2.2'] } },
      [...OWN.slice(0, 3), 'nameserver 192.0.2.1', OWN[3]!],
    ],
  ]
  for (const [what, spec, lines] of cases) it(`names ${what}`, () => assert.deepEqual(conf(spec), lines))

  it('has no server that the pod cannot reach', () => {
    const stub = parseResolvConf('nameserver 127.0.0.53\n')
    assert.deepEqual(conf({ dnsPolicy: 'Default' }, stub), ['nameserver 169.254.20.10'])
    assert.deepEqual(conf({ hostNetwork: true }, stub), ['nameserver 127.0.0.53'])
  })

  it('has 32 domains and 2048 characters at most', () => {
    const node = { nameservers: [], options: [], search: Array.from({ length: 40 }, (_, at) => `d${at}.example`) }
    assert.equal(conf({}, node)[0]!.split(' ').length, 33)
    const long = {
      nameservers: [],
      options: [],
      search: Array.from({ length: 20 }, (_, at) => `${`${'x'.repeat(60)}.`.repeat(3)}d${at}`),
    }
    assert.ok(conf({}, long)[0]!.length <= 'search '.length + 2048 && conf({}, long)[0]!.length > 1800)
  })

  it('names the resolver that the pod reaches', () => {
    assert.equal(podResolver({ podCidrs: ['10.1.2.0/24', 'fd00:1::/64'] }, ['10.1.2.3', 'fd00:1::3']), '169.254.20.10')
    assert.equal(podResolver({ podCidrs: ['fd00:1::/64'] }, ['fd00:1::3']), 'fd00:1::1')
    assert.equal(podResolver({ podCidrs: [] }, ['192.0.2.9']), '169.254.20.10')
  })
})

describe("a pod's full name", () => {
  it('is that below its subdomain', () => {
    assert.equal(podFullName(makePod('web'), 'cluster.local'), undefined)
    assert.equal(podFullName(makePod('web', { subdomain: 'db' }), 'cluster.local'), 'web.db.default.svc.cluster.local')
    assert.equal(
      podFullName(makePod('web', { subdomain: 'db', hostname: 'h' }), 'corp.internal'),
      'h.db.default.svc.corp.internal',
    )
    assert.equal(podFullName(makePod('web', { subdomain: 'db', hostNetwork: true }), 'cluster.local'), undefined)
  })

  it('is the host name where that is asked for, if it is short enough', () => {
    assert.equal(sandboxHostname(makePod('web', { subdomain: 'db' }), 'cluster.local'), 'web')
    assert.equal(
      sandboxHostname(makePod('web', { subdomain: 'db', setHostnameAsFQDN: true }), 'cluster.local'),
      'web.db.default.svc.cluster.local',
    )
    assert.equal(sandboxHostname(makePod('web', { setHostnameAsFQDN: true }), 'cluster.local'), 'web')
    assert.throws(
      () =>
        sandboxHostname(
          makePod('a-name-of-its-own', { subdomain: 'a-subdomain-with-many-letters', setHostnameAsFQDN: true }),
          'cluster.local',
        ),
      { code: 'FailedPrecondition', message: /has 73 characters, more than the 64/ },
    )
  })

  it('stands in its hosts file before the short one', () => {
    assert.ok(
      hostsFile(['web.db.default.svc.cluster.local', 'web'], ['10.1.0.2'], []).includes(
        '\n10.1.0.2\tweb.db.default.svc.cluster.local\tweb\n',
      ),
    )
  })
})

describe("a pod's DNS settings", () => {
  const flaws = (spec: Partial<PodSpec>): string[] => {
    const report = new Report()
    validatePodSpec(report, 'spec', makePod('web', spec).spec)
    return report.details.map(({ field, message }) => `${field} ${message}`)
  }
  const cases: [what: string, spec: Partial<PodSpec>, flaw: string][] = [
    ['nobody to ask', { dnsPolicy: 'None' }, 'spec.dnsConfig is required'],
    [
      'too many servers',
      { dnsConfig: { nameservers: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'] } },
      'spec.dnsConfig.nameservers are too many',
    ],
    [
      'too many domains',
      { dnsConfig: { searches: Array.from({ length: 33 }, (_, at) => `d${at}`) } },
      'spec.dnsConfig.searches are too many',
    ],
    [
      'domains that are too long',
      { dnsConfig: { searches: Array.from({ length: 12 }, () => `${'x'.repeat(60)}.`.repeat(3) + 'y') } },
      'spec.dnsConfig.searches characters are too many',
    ],
    [
      'a domain that would be a line of its own',
      { dnsConfig: { searches: ['a\nnameserver 192.0.2.66'] } },
      'spec.dnsConfig.searches[0] is not a domain',
    ],
    [
      'an option that would be two',
      { dnsConfig: { options: [{ name: 'ndots debug' }] } },
      'spec.dnsConfig.options[0].name is not an option',
    ],
    [
      'a value that would be a line of its own',
      { dnsConfig: { options: [{ name: 'ndots', value: '1\nx' }] } },
      'spec.dnsConfig.options[0].value contains a blank',
    ],
    [
      "a host name that is the node's",
      { hostNetwork: true, setHostnameAsFQDN: true },
      "spec.setHostnameAsFQDN cannot stand beside hostNetwork: the host name is the node's then",
    ],
  ]
  for (const [what, spec, flaw] of cases) it(`refuse ${what}`, () => assert.deepEqual(flaws(spec), [flaw]))
  it('are fine as Kubernetes shows them', () =>
    assert.deepEqual(
      flaws({
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['192.0.2.1'],
          searches: ['ns1.svc.cluster-domain.example', 'my.dns.search.suffix', '_x.y.', '.'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      }),
      [],
    ))
})
