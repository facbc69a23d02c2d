/**
 * What spread.ts says of nodes, out of counts that are kept up: from one pod to the next few nodes change, and only
 * those are counted anew. Tests hold it to what spread.ts says.
 */
import { controllerOf } from '../../../proto/objects/owners.ts'
import { labelSelectorMatcher } from '../../../proto/objects/selector.ts'
import type { Pod, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import type { NodeInfo, RelativeAnswers, RelativeTerm, SchedulerCluster } from '../framework.ts'
import { DefaultSpreadTally, type DefaultSpreadOptions } from './default-spread-tally.ts'
import { DomainTally } from './domain-tally.ts'
import { constraintsOf, countMatching, isEligible, matcherOf } from './spread-rules.ts'

export function relativeSpread(pod: Pod, cluster: SchedulerCluster, weight: number): RelativeAnswers | undefined {
  if ((pod.spec.topologySpreadConstraints ?? []).length > 0) return byConstraints(pod, cluster, weight)
  const owner = controllerOf(pod)?.uid
  if (owner !== undefined) return byOwner(owner, cluster, weight)
  const selector = cluster.serviceSelector(pod)
  return selector && byServices(pod.metadata.namespace, selector, cluster, weight)
}

function byOwner(uid: string, cluster: SchedulerCluster, weight: number): RelativeAnswers {
  const perNode = cluster.podsOfOwner(uid)
  if (perNode.size === 0) return { signature: uid, filters: [], scores: [] }
  const tally = cluster.kept(
    `owner ${uid}`,
    () =>
      new DefaultSpreadTally({
        on: ({ name }) => cluster.podsOfOwner(uid).get(name) ?? 0,
        nodes: () => [...cluster.podsOfOwner(uid).keys()].flatMap((name) => cluster.node(name) ?? []),
      }),
  )
  let elsewhere = 0
  if (cluster.hasUnknownNodes)
    for (const [name, pods] of perNode) if (cluster.node(name) === undefined) elsewhere = Math.max(elsewhere, pods)
  return answers(uid, tally, cluster, { weight, elsewhere })
}

function byServices(
  namespace: string,
  selector: Readonly<Record<string, string>>,
  cluster: SchedulerCluster,
  weight: number,
): RelativeAnswers {
  const signature = JSON.stringify([namespace, Object.entries(selector).sort()])
  const matcher = labelSelectorMatcher({ matchLabels: selector })
  const on = (node: NodeInfo): number => countMatching(node, namespace, matcher)
  const tally = cluster.kept(
    `services ${signature}`,
    () => new DefaultSpreadTally({ on, nodes: () => cluster.nodes.filter((node) => on(node) > 0) }),
  )
  return answers(signature, tally, cluster, { weight, elsewhere: 0 })
}

function answers(
  signature: string,
  tally: DefaultSpreadTally,
  cluster: SchedulerCluster,
  options: DefaultSpreadOptions,
): RelativeAnswers {
  tally.refresh(cluster)
  const term = tally.term(cluster, options)
  return { signature, filters: [], scores: term === undefined ? [] : [term] }
}

function byConstraints(pod: Pod, cluster: SchedulerCluster, weight: number): RelativeAnswers {
  const limits = termsOf(pod, cluster, 'DoNotSchedule', (tally, { maxSkew, minDomains = 1 }, own) =>
    tally.limit({ maxSkew, minDomains }, own),
  )
  const wishes = termsOf(pod, cluster, 'ScheduleAnyway', (tally, _, __, all) => tally.wish((100 * weight) / all))
  return {
    signature: JSON.stringify([limits.map(({ signature }) => signature), wishes.map(({ signature }) => signature)]),
    filters: limits.map(({ term }) => term),
    scores: wishes.map(({ term }) => term),
  }
}

/** What each of the pod's constraints of one sort leads to. */
function termsOf(
  pod: Pod,
  cluster: SchedulerCluster,
  when: TopologySpreadConstraint['whenUnsatisfiable'],
  termOf: (tally: DomainTally, constraint: TopologySpreadConstraint, own: 0 | 1, all: number) => RelativeTerm,
): { readonly signature: string; readonly term: RelativeTerm }[] {
  const constraints = constraintsOf(pod, when)
  const keys = constraints.map(({ topologyKey }) => topologyKey)
  const { namespace, labels } = pod.metadata
  const { nodeSelector, tolerations } = pod.spec
  return constraints.map((constraint) => {
    const { topologyKey, maxSkew, minDomains, nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' } = constraint
    const matcher = matcherOf(constraint, pod)
    const own = matcher.matches(labels) ? 1 : 0
    const signature = JSON.stringify([
      when,
      namespace,
      topologyKey,
      keys,
      [maxSkew, minDomains, own],
      constraint.labelSelector === undefined ? undefined : matcher.requirements,
      nodeAffinityPolicy === 'Honor' ? nodeSelector : undefined,
      nodeTaintsPolicy === 'Honor' ? [tolerations] : undefined,
    ])
    const tally = cluster.kept(
      `domains ${signature}`,
      () =>
        new DomainTally({
          topologyKey,
          namespace,
          matcher,
          isEligible: (node) => isEligible(constraint, constraints, { nodeSelector, tolerations }, node),
        }),
    )
    tally.refresh(cluster)
    return { signature, term: termOf(tally, constraint, own, constraints.length) }
  })
}
