/** What carries a stream to or from pods, as subresources of the catalog. */
import type { Catalog } from '../catalog.ts'
import type { Answer, Subresource, Upgrade } from '../contract.ts'
import { PodCommands, type CommandParts } from './commands.ts'
import { getLog } from './logs.ts'
import { badRequest } from './pod-target.ts'
import { answerNodePage } from './node-proxy.ts'
import { PodPortForward, type PortForwardParts } from './port-forward.ts'
import { BACKEND_FINDERS, Proxy, type ProxyParts } from './proxy.ts'

export type StreamParts = CommandParts & PortForwardParts & ProxyParts

/** log, exec, attach and portforward of pods; proxy of pods, services and nodes. */
export function streamSubresources(catalog: Catalog, parts: StreamParts): Subresource[] {
  const parent = catalog.find('', 'v1', 'pods')!
  const commands = new PodCommands(parts)
  const forwards = new PodPortForward(parts)
  const upgraded = (name: string, kind: string, upgrade: Upgrade): Subresource => ({
    served: { parent, name, kind, verbs: ['connect'] },
    verbs: { connect: notUpgraded },
    upgrade,
  })
  return [
    { served: { parent, name: 'log', kind: 'Pod', verbs: ['get'] }, verbs: { get: getLog }, streams: true },
    upgraded('exec', 'PodExecOptions', (request, connection) => commands.exec(request, connection)),
    upgraded('attach', 'PodAttachOptions', (request, connection) => commands.attach(request, connection)),
    upgraded('portforward', 'PodPortForwardOptions', (request, connection) => forwards.forward(request, connection)),
    nodeProxy(catalog),
    ...Object.entries(BACKEND_FINDERS).map(([plural, find]) => proxied(catalog, plural, new Proxy(parts, find))),
  ]
}

async function notUpgraded(): Promise<Answer> {
  throw badRequest('Upgrade request required: this is a connection upgraded to websocket or SPDY/3.1')
}

/** A node's pages are only read, and nothing is upgraded there. */
function nodeProxy(catalog: Catalog): Subresource {
  const parent = catalog.find('', 'v1', 'nodes')!
  return {
    served: { parent, name: 'proxy', kind: 'NodeProxyOptions', verbs: ['connect', 'get'] },
    verbs: { connect: answerNodePage },
  }
}

/** Every method is one of the pod's: all of them are asked for as the verbs of a proxy. */
function proxied(catalog: Catalog, plural: string, proxy: Proxy): Subresource {
  const parent = catalog.find('', 'v1', plural)!
  return {
    served: {
      parent,
      name: 'proxy',
      kind: `${parent.kind}ProxyOptions`,
      verbs: ['connect', 'create', 'delete', 'get', 'patch', 'update'],
    },
    verbs: { connect: (request) => proxy.answer(request) },
    upgrade: (request, connection) => proxy.upgrade(request, connection),
  }
}
