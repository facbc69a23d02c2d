/**
 * Connections to subresources as admission plugins see them: an object of the options that the query holds.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
import type { JsonObject } from '../../proto/gen/types.ts'
import type { ResourceRequest, ServedSubresource } from './contract.ts'
import { flag } from './query-flag.ts'

const FLAGS = ['stdin', 'stdout', 'stderr', 'tty'] as const

/** Rejects with what refuses it. */
export async function admitConnection(request: ResourceRequest, { kind }: ServedSubresource): Promise<void> {
  if (request.target.resource.stored === undefined) return
  await request.authorized.admitConnection(optionsOf(request, kind), (text) => request.warn(text))
}

function optionsOf({ query, target: { rest, subresource } }: ResourceRequest, kind: string): JsonObject {
  const [container, command, ports] = [query.get('container') ?? '', query.getAll('command'), query.getAll('ports')]
  return {
    kind,
    apiVersion: 'v1',
    ...Object.fromEntries(FLAGS.filter((name) => flag(query, name) === true).map((name) => [name, true])),
    ...(container !== '' && { container }),
    ...(command.length > 0 && { command }),
    ...(ports.length > 0 && {
      ports: ports
        .flatMap((text) => text.split(','))
        .map(Number)
        .filter(Number.isInteger),
    }),
    ...(subresource === 'proxy' && { path: rest }),
  }
}
