import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  formatHostPort,
  hostPortClaims,
  HostPortSet,
  portsClash,
  type HostPortClaim,
} from '../../../proto/objects/host-ports.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type { JsonObject, Pod } from '../../../proto/gen/types.ts'

function pod(ports: JsonObject[], spec: JsonObject = {}): Pod {
  return applyDefaults(
    decodeJson(undefined, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'default' },
      spec: { ...spec, containers: [{ name: 'c', image: 'i', ports }] },
    }) as Pod,
  )
}

const problems = (object: Pod): string[] => validate(object).map(({ field, message }) => `${field}: ${message}`)

describe('host ports', () => {
  it("are what a pod says, and in the node's network every port", () => {
    const ports: JsonObject[] = [
      { containerPort: 80, hostPort: 8080, hostIP: '10.0.0.1' },
      { containerPort: 53, protocol: 'UDP' },
    ]
    assert.deepEqual(hostPortClaims(pod(ports)), [{ protocol: 'TCP', port: 8080, address: '10.0.0.1' }])
    assert.deepEqual(
      hostPortClaims(pod([{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }], { hostNetwork: true })),
      [
        { protocol: 'TCP', port: 80, address: '' },
        { protocol: 'UDP', port: 53, address: '' },
      ],
    )
  })

  it('clash on one address, or all of its family', () => {
    const claim = (address: string): HostPortClaim => ({ protocol: 'TCP', port: 80, address })
    for (const [a, b, clash] of [
      ['', '10.0.0.1', true],
      ['10.0.0.1', '10.0.0.1', true],
      ['10.0.0.1', '10.0.0.2', false],
      ['0.0.0.0', '10.0.0.2', true],
      ['0.0.0.0', 'fd00::1', false],
      ['::', 'fd00::1', true],
      ['fd00::1', 'fd00:0::1', true],
    ] as const) {
      assert.equal(portsClash(claim(a), claim(b)), clash, `${a} ${b}`)
      assert.equal(portsClash(claim(b), claim(a)), clash, `${b} ${a}`)
    }
    assert.equal(portsClash(claim(''), { ...claim(''), protocol: 'UDP' }), false)
    assert.equal(formatHostPort(claim('fd00::1')), '[fd00::1]:80/TCP')
  })

  it('clash with some of a set as with one after the other', () => {
    const claim = fc.record({
      protocol: fc.constantFrom('TCP', 'UDP'),
      port: fc.constantFrom(80, 81),
      address: fc.constantFrom(
        '',
        '10.0.0.1',
        '10.0.0.2',
        '0.0.0.0',
        '::',
        'fd00::1',
        'fd00:0::1',
        '::1',
        'no address',
      ),
    })
    fc.assert(
      fc.property(fc.array(claim, { maxLength: 4 }), claim, (claims, asked) => {
        const set = new HostPortSet()
        for (const each of claims) set.add(each)
        assert.equal(
          set.clashesWith(asked),
          claims.some((other) => portsClash(asked, other)),
        )
      }),
    )
  })

  it('are refused where they can lead nowhere', () => {
    assert.deepEqual(
      problems(
        pod([
          { containerPort: 80, hostPort: 80, hostIP: '' },
          { containerPort: 80, hostPort: 80, hostIP: '', protocol: 'UDP' },
        ]),
      ),
      [],
    )
    assert.deepEqual(problems(pod([{ containerPort: 80, hostPort: 81 }], { hostNetwork: true })), [
      "spec.containers[0].ports[0].hostPort: differs from containerPort, and the pod is in the node's network",
    ])
    assert.deepEqual(
      problems(
        pod([
          { containerPort: 80, hostPort: 81, hostIP: '10.0.0.1' },
          { containerPort: 82, hostPort: 81 },
        ]),
      ),
      ['spec.containers[0].ports[1].hostPort: is the host port of another port of the pod'],
    )
    assert.throws(() => pod([{ containerPort: 80, hostPort: 65536 }]), /ports\[0\]\.hostPort/)
    assert.throws(() => pod([{ containerPort: 80, hostPort: 80, hostIP: 'here' }]), /ports\[0\]\.hostIP/)
  })
})
