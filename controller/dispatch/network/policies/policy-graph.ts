/**
 * The graph of policies in force: the pods, the policies that guard them, and the sets of peers that the policies name.
 */
import type { FeedEntry } from '../contract.ts'
import type { CompiledPolicy } from './compile.ts'
import type { PeerSet } from './peer-set.ts'
import type { PodFacts } from './pod-facts.ts'

export interface PolicyPod extends PodFacts {
  /** "namespace/name" */
  readonly key: string
  readonly guards: Set<PolicyState>
  readonly sets: Set<PeerSet>
  /** What its node is told of it, until other policies guard it. */
  entry: FeedEntry | undefined
}

export interface PolicyState {
  readonly compiled: CompiledPolicy
  /** Of its content. */
  readonly version: string
  /** Those that its rules name. */
  readonly sets: ReadonlySet<PeerSet>
  /** Pods that it selects, on whatever node. */
  readonly pods: Set<PolicyPod>
}

/** What a node is told is made of this. */
export interface GuardedNode {
  readonly pods: Set<PolicyPod>
  /** How many of its pods each policy selects. */
  readonly policies: Map<PolicyState, number>
}
