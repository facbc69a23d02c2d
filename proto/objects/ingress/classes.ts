/**
 * Which Ingresses and Gateways are Gantry's to serve, and where.
 * https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class
 */
import type { Gateway, GatewayClass, Ingress, IngressClass, Node } from '../../gen/types.ts'

/** spec.controller of an IngressClass, spec.controllerName of a GatewayClass. */
export const INGRESS_CONTROLLER_NAME = 'gantry.dev/entrance'
/** The built-in classes' name. */
export const INGRESS_CLASS_NAME = 'gantry'
/** Label of ingress nodes, on which the ingress proxy runs; an administrator gives it to them. */
export const INGRESS_NODE_LABEL = 'gantry.dev/entrance'
/** What is said where there is none, and the administrator's remedy. */
export const NO_INGRESS_NODE_MESSAGE = `No node is an entrance: gantry label node NODE ${INGRESS_NODE_LABEL}=true makes one`
/** On an IngressClass: serves what names no class. */
const DEFAULT_CLASS_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class'
/** How classes were named before spec.ingressClassName. */
export const INGRESS_CLASS_ANNOTATION = 'kubernetes.io/ingress.class'

/**
 * True if Gantry serves the class it names, or it names none and the default is: the newest class marked as
 * default, else the built-in one.
 */
export function servesIngress({ spec, metadata }: Ingress, classes: readonly IngressClass[]): boolean {
  const name = spec.ingressClassName ?? metadata.annotations?.[INGRESS_CLASS_ANNOTATION]
  const ours = (candidate: IngressClass | undefined): boolean => candidate?.spec.controller === INGRESS_CONTROLLER_NAME
  if (name !== undefined && name !== '') return ours(classes.find((candidate) => candidate.metadata.name === name))
  const marked = classes.filter((candidate) => candidate.metadata.annotations?.[DEFAULT_CLASS_ANNOTATION] === 'true')
  if (marked.length === 0) return ours(classes.find((candidate) => candidate.metadata.name === INGRESS_CLASS_NAME))
  const created = ({ metadata: { creationTimestamp = '' } }: IngressClass): string => creationTimestamp
  return ours(marked.reduce((newest, candidate) => (created(candidate) > created(newest) ? candidate : newest)))
}

export function servesGateway({ spec }: Gateway, classes: readonly GatewayClass[]): boolean {
  return classes.some(
    ({ metadata, spec: { controllerName } }) =>
      metadata.name === spec.gatewayClassName && controllerName === INGRESS_CONTROLLER_NAME,
  )
}

/**
 * The ingress nodes: those with the label set to "true". They are given the keys of TLS, so an
 * administrator says which they are: a node cannot give itself the label.
 */
export function ingressNodes<N extends Pick<Node, 'metadata'>>(nodes: readonly N[]): N[] {
  return nodes.filter(({ metadata }) => metadata.labels?.[INGRESS_NODE_LABEL] === 'true')
}

/** Older first, then by namespace and name: who was there first wins a conflict. */
export function byAge(
  a: { metadata: { creationTimestamp?: string | undefined; namespace: string; name: string } },
  b: typeof a,
): number {
  const key = ({ metadata: { creationTimestamp = '', namespace, name } }: typeof a): readonly [string, string] => [
    creationTimestamp,
    `${namespace}/${name}`,
  ]
  const [[oneTime, oneName], [otherTime, otherName]] = [key(a), key(b)]
  if (oneTime !== otherTime) return oneTime < otherTime ? -1 : 1
  return oneName < otherName ? -1 : oneName > otherName ? 1 : 0
}
