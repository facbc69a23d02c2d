/** A policy that is in force, and who follows it. */
import type { CompiledPolicy } from './compile.ts'
import type { PeerSet } from './peer-set.ts'
import type { PolicyPod } from './policy-pod.ts'

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
