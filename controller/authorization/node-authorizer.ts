/**
 * Who may open the session of a node, and the streams that a controller asks that node for: the agent whose certificate
 * is that node's, and nobody else, administrators included. Whoever speaks for a node is given the secrets of its pods
 * and says what becomes of them; an administrator who wants that issues a certificate. All other requests are for the
 * next authorizer to decide. https://kubernetes.io/docs/reference/access-authn-authz/node/
 */
import type { Attributes, Authorizer, Decision } from './authorizer.ts'
import { NODES } from './groups.ts'

/** What an agent opens, as subresources of its node. */
const NODE_CONNECTIONS = ['session', 'stream'] as const
export type NodeConnection = (typeof NODE_CONNECTIONS)[number]

/** Common name of a node's certificate, before the node's name: Kubernetes' own form. */
const NODE_USER = 'system:node:'

/** The node whose certificate a user shows, by the certificate's name; undefined for whoever is no node. */
export function nodeOf({ name }: { readonly name: string }): string | undefined {
  return name.startsWith(NODE_USER) && name !== NODE_USER ? name.slice(NODE_USER.length) : undefined
}

export class NodeAuthorizer implements Authorizer {
  readonly #others: Authorizer

  constructor(others: Authorizer) {
    this.#others = others
  }

  decide(attributes: Attributes): Decision {
    return isNodeConnection(attributes) ? ofConnection(attributes) : this.#others.decide(attributes)
  }
}

function isNodeConnection({ group = '', resource, subresource = '' }: Attributes): boolean {
  return group === '' && resource === 'nodes' && (NODE_CONNECTIONS as readonly string[]).includes(subresource)
}

function ofConnection({ user, name = '' }: Attributes): Decision {
  if (!user.groups.includes(NODES))
    return no(`needs a client certificate of the organisation ${NODES}; let the node join the cluster again`)
  const node = nodeOf(user)
  if (node === undefined) return no(`"${user.name}" is not the name of a node's certificate (${NODE_USER}NAME)`)
  return node === name ? { allowed: true } : no(`the certificate is that of node ${node}`)
}

function no(reason: string): Decision {
  return { allowed: false, reason }
}
