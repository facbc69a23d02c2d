/** That each invariant notices what it is for. */
import assert from 'node:assert/strict'
import type { AnyResource, ConfigMap, Pod } from '../../../proto/gen/types.ts'
import { makePod } from '../../agent/fakes.ts'
import { node } from '../../controller/nodehealth/nodes.ts'
import type { Fact, Facts, Instance } from '../facts.ts'
import type { Committed } from '../world/store.ts'
import { drainedPodsAreSentNothing } from './endpoints.ts'
import type { Invariant } from './invariant.ts'
import { containersRunOnce, onceMeansOnce, podsRunWhereTheyArePlaced, statusOnlyAdvances } from './pods.ts'
import { nodesAreToldOnlyWhatTheyUse } from './secrets.ts'
import {
  acknowledgedWritesHappened,
  COUNTER,
  countsOf,
  onlyLeadersPlacePods,
  podsLeaveFirst,
  readsShowWhatWasAcknowledged,
} from './writes.ts'

const ON_N1 = makePod('web', { nodeName: 'n1', restartPolicy: 'Never' })
const UID = ON_N1.metadata.uid

const N1 = node('n1', 'ready', 0)
const SENDS: Fact = { is: 'sends', node: 'n1', podUids: new Set([UID]) }
const DRAINED: Fact = { is: 'drained', node: 'n1', podUids: [UID] }
const SECRET: AnyResource = {
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'Opaque',
  metadata: { name: 'key', namespace: 'default', uid: 's', resourceVersion: '1' },
}

function instance(id: string, attempt = 0): Instance {
  return { id, podUid: UID, container: 'main', attempt }
}

function committed(before: AnyResource | undefined, after: AnyResource | undefined, term = true): Fact {
  const leader = term ? { key: 'leader', createRevision: 1 } : undefined
  const commit: Committed = { writer: 'c1', operations: [], term: leader, revision: 2 }
  return { is: 'committed', key: 'key', before, after, commit }
}

function withStatus(status: Pod['status']): Pod {
  return { ...ON_N1, status }
}

function counter(count: number): ConfigMap {
  const metadata = {
    name: 'one',
    namespace: 'default',
    uid: 'u',
    resourceVersion: '1',
    annotations: { [COUNTER]: `${count}` },
  }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata }
}

const begun = (node: string, one: Instance): Fact => ({ is: 'begun', node, instance: one })
const ran = (restartCount: number): Pod =>
  withStatus({
    phase: 'Running',
    containerStatuses: [{ name: 'main', image: '', imageID: '', ready: true, restartCount, state: {} }],
  } as Pod['status'])

/** Facts that break an invariant, and as good as the same that do not. */
const CASES: readonly { readonly of: Invariant; readonly broken: readonly Fact[]; readonly kept: readonly Fact[] }[] = [
  { of: podsRunWhereTheyArePlaced, broken: [begun('n2', instance('a'))], kept: [begun('n1', instance('a'))] },
  {
    of: containersRunOnce,
    broken: [begun('n1', instance('a')), begun('n1', instance('b', 1))],
    kept: [
      begun('n1', instance('a')),
      { is: 'ended', node: 'n1', instance: instance('a') },
      begun('n1', instance('b', 1)),
    ],
  },
  {
    of: onceMeansOnce,
    broken: [begun('n1', instance('a')), begun('n1', instance('b', 1))],
    kept: [
      begun('n1', instance('a')),
      { is: 'powerLost', node: 'n1', fellBack: new Set() },
      begun('n1', instance('b')),
    ],
  },
  {
    of: statusOnlyAdvances,
    broken: [committed(withStatus({ phase: 'Running' }), withStatus({ phase: 'Pending' }))],
    kept: [committed(withStatus({ phase: 'Pending' }), withStatus({ phase: 'Running' }))],
  },
  { of: statusOnlyAdvances, broken: [committed(ran(2), ran(1))], kept: [committed(ran(1), ran(2))] },
  {
    of: nodesAreToldOnlyWhatTheyUse,
    broken: [committed(undefined, ON_N1), { is: 'given', node: 'n1', object: SECRET }],
    kept: [committed(undefined, ON_N1), { is: 'given', node: 'n1', object: ON_N1 }],
  },
  {
    of: acknowledgedWritesHappened,
    broken: [{ is: 'acknowledged', verb: 'create', object: ON_N1 }],
    kept: [committed(undefined, ON_N1), { is: 'acknowledged', verb: 'create', object: ON_N1 }],
  },
  {
    of: readsShowWhatWasAcknowledged,
    broken: [{ is: 'read', name: 'one', object: counter(1), before: 2 }],
    kept: [
      { is: 'read', name: 'one', object: counter(2), before: 2 },
      { is: 'read', name: 'one', object: undefined, before: 0 },
    ],
  },
  {
    of: readsShowWhatWasAcknowledged,
    broken: [{ is: 'read', name: 'one', object: undefined, before: 1 }],
    kept: [{ is: 'read', name: 'one', object: counter(3), before: 1 }],
  },
  {
    of: podsLeaveFirst(new Set()),
    broken: [committed(ON_N1, undefined)],
    kept: [
      committed({ ...ON_N1, metadata: { ...ON_N1.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }, undefined),
      committed(makePod('web', { nodeName: 'n2' }), undefined),
    ],
  },
  {
    of: drainedPodsAreSentNothing,
    broken: [committed(undefined, N1), SENDS, DRAINED],
    kept: [committed(undefined, N1), SENDS, { ...SENDS, podUids: new Set() }, DRAINED],
  },
  {
    of: drainedPodsAreSentNothing,
    broken: [committed(undefined, N1), DRAINED, SENDS],
    kept: [DRAINED, committed(node('n1', 'lost', 0), N1), { ...SENDS, node: 'n2' }],
  },
  {
    of: onlyLeadersPlacePods,
    broken: [committed(makePod('web'), ON_N1, false)],
    kept: [committed(makePod('web'), ON_N1)],
  },
  {
    of: countsOf(new Map([['one', { acknowledged: 2, unknown: 1 }]])),
    broken: [committed(undefined, counter(4))],
    kept: [committed(undefined, counter(3))],
  },
  {
    of: countsOf(new Map([['one', { acknowledged: 2, unknown: 1 }]])),
    broken: [committed(undefined, counter(1))],
    kept: [committed(undefined, counter(2))],
  },
]

/** Milliseconds between two facts. */
const BETWEEN = 15_000

/** What the checks say, in order; undefined for those that are content. */
function verdicts({ make }: Invariant, facts: readonly Fact[]): (string | undefined)[] {
  const alive = new Map<string, { node: string; instance: Instance }>()
  const list = (kind: string): unknown[] => (kind === 'Node' ? [N1] : [])
  const sending = new Map<string, ReadonlySet<string>>()
  const known = { time: 0, alive, sending, byUid: () => ON_N1, list }
  const check = make()
  return facts.map((fact) => {
    if (fact.is === 'begun') alive.set(fact.instance.id, fact)
    if (fact.is === 'ended') alive.delete(fact.instance.id)
    if (fact.is === 'powerLost') alive.clear()
    if (fact.is === 'sends') sending.set(fact.node, fact.podUids)
    known.time += BETWEEN
    return check(fact, known as unknown as Facts)
  })
}

describe('invariants of the simulation', () => {
  for (const [index, { of, broken, kept }] of CASES.entries())
    it(`notice what breaks them: ${of.name} (${index + 1})`, () => {
      assert.equal(typeof verdicts(of, broken).at(-1), 'string')
      assert.deepEqual(
        verdicts(of, kept),
        kept.map(() => undefined),
      )
    })
})
