import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatAddress, readAddress, readCidr } from '../../../proto/base/cidr.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import {
  describeDecision,
  explainPolicies,
  namedPorts,
  type PolicyFlow,
} from '../../../proto/objects/network-policy.ts'
import { describeProblem } from '../../../proto/base/problem.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type { JsonObject, NetworkPolicy, Pod } from '../../../proto/gen/types.ts'

const make = (spec: JsonObject, name = 'x', namespace = 'default'): NetworkPolicy =>
  applyDefaults(decodeJson('NetworkPolicy', { metadata: { name, namespace }, spec }))

const CIDR_REMEDY = '(write it as 10.64.3.0/24 or fd00:64::/64)'

describe('NetworkPolicy', () => {
  it('is accepted with all that it has', () => {
    const policy = make({
      podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] },
      ingress: [
        {
          ports: [
            { port: 80 },
            { port: 'http', protocol: 'UDP' },
            { port: 8000, endPort: 9000, protocol: 'SCTP' },
            { protocol: 'TCP' },
          ],
          from: [
            { podSelector: {} },
            { namespaceSelector: {}, podSelector: {} },
            { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
          ],
        },
        {},
      ],
      egress: [{ to: [{ ipBlock: { cidr: '2001:db8::/32', except: ['2001:db8:1::/48'] } }] }],
      policyTypes: ['Egress', 'Ingress'],
    })
    assert.deepEqual(validate(policy).map(describeProblem), [])
  })

  for (const [what, spec, line] of [
    [
      'an endPort without port',
      { ingress: [{ ports: [{ endPort: 90 }] }] },
      'spec.ingress[0].ports[0].endPort: 90 has no port that the range begins with (give port too)',
    ],
    [
      'an endPort with a named port',
      { egress: [{ ports: [{ port: 'http', endPort: 90 }] }] },
      'spec.egress[0].ports[0].endPort: 90 is not allowed with a named port (give port as a number)',
    ],
    [
      'an endPort before port',
      { ingress: [{ ports: [{ port: 80, endPort: 79 }] }] },
      'spec.ingress[0].ports[0].endPort: 79 is less than port, 80 (give the last port of the range)',
    ],
    [
      'a port out of range',
      { ingress: [{ ports: [{ port: 0 }] }] },
      'spec.ingress[0].ports[0].port: 0 is out of range (give a number from 1 to 65535)',
    ],
    [
      'a port whose name is none',
      { ingress: [{ ports: [{ port: 'HTTP' }] }] },
      'spec.ingress[0].ports[0].port: "HTTP" is not a port name (use at most 15 lower-case letters, digits and single "-", with at least one letter (RFC 6335))',
    ],
    [
      'a block beside a selector',
      { ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] }] },
      'spec.ingress[0].from[0]: has ipBlock beside podSelector or namespaceSelector (make ipBlock a peer of its own)',
    ],
    [
      'a peer that is nobody',
      { egress: [{ to: [{}] }] },
      'spec.egress[0].to[0]: selects nobody (give podSelector, namespaceSelector or ipBlock; for everybody leave out the whole list)',
    ],
    [
      'a block that is none',
      { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0' } }] }] },
      `spec.ingress[0].from[0].ipBlock.cidr: "10.0.0.0" is not a range of addresses ${CIDR_REMEDY}`,
    ],
    [
      'a gap outside of its block',
      { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }] }] },
      'spec.ingress[0].from[0].ipBlock.except[0]: "11.0.0.0/16" is not inside 10.0.0.0/8 (give a range inside it)',
    ],
    [
      'a gap of the other family',
      { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['fd00::/64'] } }] }] },
      'spec.ingress[0].from[0].ipBlock.except[0]: "fd00::/64" is not inside 10.0.0.0/8 (give a range inside it)',
    ],
    [
      'a gap that is the whole block',
      { ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] } }] }] },
      'spec.ingress[0].from[0].ipBlock.except[0]: "10.0.0.0/8" leaves nothing of 10.0.0.0/8 (give a smaller range)',
    ],
    [
      'a direction twice',
      { policyTypes: ['Ingress', 'Ingress'] },
      'spec.policyTypes[1]: "Ingress" is there twice (name each direction once)',
    ],
    [
      'an operator without values',
      { podSelector: { matchExpressions: [{ key: 'app', operator: 'In' }] } },
      'spec.podSelector.matchExpressions[0].values: is required (In needs at least one)',
    ],
  ] as const) {
    it(`refuses ${what}`, () =>
      assert.deepEqual(validate(make({ podSelector: {}, ...spec } as unknown as JsonObject)).map(describeProblem), [
        line,
      ]))
  }

  it('is about ingress unless it says otherwise, and about egress if it has rules for it', () => {
    assert.deepEqual(make({ podSelector: {} }).spec.policyTypes, ['Ingress'])
    assert.deepEqual(make({ podSelector: {}, egress: [{}] }).spec.policyTypes, ['Ingress', 'Egress'])
    assert.deepEqual(make({ podSelector: {}, egress: [{}], policyTypes: ['Egress'] }).spec.policyTypes, ['Egress'])
    assert.equal(
      make({ podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] }).spec.ingress![0]!.ports![0]!.protocol,
      'TCP',
    )
  })
})

function pod(name: string, labels: Record<string, string> = {}, spec: object = {}): Pod {
  return {
    kind: 'Pod',
    metadata: { name, namespace: 'default', uid: name, labels },
    spec: { nodeName: 'n1', containers: [], ...spec },
    status: {},
  } as unknown as Pod
}

describe('explainPolicies', () => {
  const web = { address: '10.1.0.2', pod: pod('web', { app: 'web' }) }
  const client = { address: '10.1.0.3', pod: pod('client') }
  const flow = (from: PolicyFlow['from'], to: PolicyFlow['to'], port = 80): PolicyFlow => ({
    from,
    to,
    protocol: 'TCP',
    port,
  })
  const world = (...policies: NetworkPolicy[]) => ({ policies, namespaces: new Map([['default', {}]]) })
  const deny = make({ podSelector: { matchLabels: { app: 'web' } } }, 'deny')
  const allow = make(
    { podSelector: { matchLabels: { app: 'web' } }, ingress: [{ ports: [{ port: 443 }] }, { ports: [{ port: 80 }] }] },
    'allow',
  )

  it('says which rule of which policy allows, or which policies refuse', () => {
    const verdict = explainPolicies(flow(client, web), world(deny, allow))
    assert.deepEqual(verdict, {
      allowed: true,
      egress: { is: 'open' },
      ingress: { is: 'allowed', policy: 'default/allow', rule: 1 },
    })
    assert.equal(describeDecision(verdict.ingress), 'allowed by rule 2 of NetworkPolicy default/allow')
    const refused = explainPolicies(flow(client, web, 81), world(deny, allow))
    assert.equal(refused.allowed, false)
    assert.equal(
      describeDecision(refused.ingress),
      'refused: no rule of NetworkPolicy default/deny, default/allow allows it',
    )
    assert.equal(describeDecision(refused.egress), 'no NetworkPolicy is about it')
  })

  it("lets the pod's own node and the pod itself pass, but not other nodes", () => {
    assert.equal(explainPolicies(flow({ address: '192.0.2.1', node: 'n1' }, web), world(deny)).allowed, true)
    assert.equal(explainPolicies(flow({ address: '192.0.2.2', node: 'n2' }, web), world(deny)).allowed, false)
    assert.equal(explainPolicies(flow(web, web), world(deny)).allowed, true)
  })

  it('knows the ports that containers and sidecars name', () => {
    const port = (name: string, containerPort: number) => ({ name, containerPort })
    const holder = pod(
      'p',
      {},
      {
        containers: [{ ports: [port('http', 80), { containerPort: 81 }] }],
        initContainers: [
          { ports: [port('once', 82)] },
          { restartPolicy: 'Always', ports: [{ ...port('side', 83), protocol: 'UDP' }] },
        ],
      },
    )
    assert.deepEqual(namedPorts(holder), [
      { name: 'side', protocol: 'UDP', port: 83 },
      { name: 'http', protocol: 'TCP', port: 80 },
    ])
  })
})

describe('addresses as numbers', () => {
  it('read what they write', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }), (value) =>
        assert.deepEqual(readAddress(formatAddress(4, value)), { family: 4, value }),
      ),
    )
    const sparse = fc
      .array(fc.constantFrom(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 })
      .map((groups) => groups.reduce((value, group) => (value << 16n) | group, 0n as bigint))
    fc.assert(
      fc.property(fc.oneof(sparse, fc.bigInt({ min: 0n, max: (1n << 128n) - 1n })), (value) =>
        assert.deepEqual(readAddress(formatAddress(6, value)), { family: 6, value }),
      ),
    )
  })

  it('are written in canonical form (RFC 5952)', () => {
    for (const [text, canonical] of [
      ['::', '::'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
      ['fe80:0:0:0:0:0:0:1', 'fe80::1'],
      ['1:0:0:0:0:0:0:0', '1::'],
    ] as const) {
      const { family, value } = readAddress(text)!
      assert.equal(formatAddress(family, value), canonical)
    }
  })

  it('refuse what is none', () => {
    for (const text of ['', '10.0.0', '10.0.0.256', 'fe80::1%eth0', ':::', 'x'])
      assert.equal(readAddress(text), undefined, text)
    for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/08', 'fd00::/129', 'fd00::/', '/8', '10.0.0.0/8/8'])
      assert.equal(readCidr(text), undefined, text)
  })

  it('make ranges, whatever stands behind the prefix', () => {
    assert.deepEqual(readCidr('10.1.2.3/8'), { family: 4, first: 10n << 24n, last: (11n << 24n) - 1n })
    assert.deepEqual(readCidr('::/0'), { family: 6, first: 0n, last: (1n << 128n) - 1n })
    assert.deepEqual(readCidr('192.0.2.1/32'), { family: 4, first: 0xc0000201n, last: 0xc0000201n })
  })
})
