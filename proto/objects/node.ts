/** What a node counts as. https://kubernetes.io/docs/reference/node/node-status/ */
import type { Node, NodeCondition } from '../gen/types.ts'
import { findCondition, isConditionTrue } from './conditions.ts'

/** What it, or the control plane of it, says of its readiness; undefined for a node that has never registered. */
export function readyCondition({ status }: Pick<Node, 'status'>): NodeCondition | undefined {
  return findCondition(status.conditions, 'Ready')
}

/** It is heard from and says that it can run pods. */
export function isNodeReady({ status }: Pick<Node, 'status'>): boolean {
  return isConditionTrue(status.conditions, 'Ready')
}

/** It takes no further pods but those that tolerate that. */
export function isCordoned({ spec }: Pick<Node, 'spec'>): boolean {
  return spec.unschedulable === true
}
