import assert from 'node:assert/strict'
import { networkPolicyEntries } from '../../../proto/client/describe/network-policy.ts'
import { formatPage } from '../../../cli/output/page.ts'
import { pod } from '../objects.ts'
import { policyOf } from '../../controller/dispatch/network/policy-fixture.ts'

describe('a NetworkPolicy in a description', () => {
  it('tells in words what is allowed', () => {
    const policy = policyOf('db', {
      podSelector: { matchLabels: { app: 'db' } },
      ingress: [
        {
          ports: [{ port: 5432 }, { protocol: 'UDP', port: 8000, endPort: 9000 }],
          from: [
            { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } },
            { namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: {} },
          ],
        },
        { ports: [{ port: 'metrics' }, {}] },
      ],
      policyTypes: ['Ingress', 'Egress'],
    } as never)
    const pods = ['db-0', 'db-1'].map(
      (name) =>
        pod(name, { spec: { containers: [{ name: 'main', ports: [{ name: 'sql', containerPort: 5432 }] }] } }) as never,
    )
    policy.metadata.creationTimestamp = '2026-01-01T00:00:00Z'
    assert.equal(
      formatPage(networkPolicyEntries(policy, pods)),
      `\
Name:           db
Namespace:      default
Labels:         <none>
Annotations:    <none>
Created on:     2026-01-01T00:00:00Z
Spec:
  PodSelector:     app=db
  Allowing ingress traffic:
    To Port: 5432/TCP
    To Port: 8000-9000/UDP
    From:
      IPBlock:
        CIDR: 10.0.0.0/8
        Except: 10.1.0.0/16
    From:
      NamespaceSelector: team=a
      PodSelector: <none>
    ----------
    To Port: metrics/TCP
    To Port: <any>/TCP
    From: <any> (traffic not restricted by source)
  Allowing egress traffic:
    <none> (the selected pods are isolated for egress connectivity)
  Policy Types: Ingress, Egress
Guards:         2 pods (db-0, db-1)
Unknown Ports:  metrics/TCP: none of these pods has a port of that name; they have sql/TCP
`,
    )
  })

  it('says which direction it is not about', () => {
    const page = formatPage(networkPolicyEntries(policyOf('out', { egress: [{}], policyTypes: ['Egress'] }), []))
    assert.match(
      page,
      /PodSelector: {5}<none> \(every pod of this namespace\)\n {2}Not affecting ingress traffic\n {2}Allowing egress traffic:\n {4}To Port: <any> \(traffic allowed to all ports\)\n {4}To: <any> \(traffic not restricted by destination\)\n/,
    )
  })

  it('says whom it guards', () => {
    const guards = (pods: readonly unknown[]): string | undefined =>
      /^Guards: +(.*)$/m.exec(formatPage(networkPolicyEntries(policyOf('all', {}), pods as never)))?.[1]
    assert.equal(guards([]), 'no pod: none has these labels')
    assert.equal(
      guards([pod('a', { spec: { hostNetwork: true } })]),
      "no pod: those with these labels are in their node's network",
    )
    assert.equal(guards(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => pod(name))), '6 pods (a, b, c, d, e and 1 more)')
  })
})
