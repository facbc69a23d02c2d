/** Which session of a node counts, and which controller holds it, as the node's object says. */
import type { Node } from '../../proto/gen/types.ts'

/**
 * Annotation with the id of the session that the node registered with last: of whoever has another, no word on the node
 * counts any more.
 */
export const SESSION_ANNOTATION = 'gantry.dev/session'

/**
 * Annotation with the name of the controller that holds that session: who asks the node for logs or commands asks it.
 */
export const CONTROLLER_ANNOTATION = 'gantry.dev/controller'

export function sessionOf(node: Node): string | undefined {
  return node.metadata.annotations?.[SESSION_ANNOTATION]
}

/** The name of the controller with which the node registered last. */
export function controllerOf(node: Node): string | undefined {
  return node.metadata.annotations?.[CONTROLLER_ANNOTATION]
}
