/**
 * The pages that an agent has for who monitors nodes: those of a kubelet. They are read by way of the control plane;
 * the agent listens nowhere.
 */
import type { Page } from '../../proto/gen/types.ts'
import { cadvisorFamilies } from './cadvisor.ts'
import { EXPOSITION_TYPE, formatFamilies, type Family } from './exposition.ts'
import { kubeletFamilies, resourceFamilies } from './node-families.ts'
import { takeSnapshot, type NodeSnapshot, type SnapshotParts } from './snapshot.ts'
import { summaryOf } from './summary.ts'

export interface NodePagesParts extends SnapshotParts {
  /** Of the agent, as its node says. */
  readonly version: string
}

export class NodePages {
  readonly #parts: NodePagesParts
  #taking: Promise<NodeSnapshot> | undefined

  constructor(parts: NodePagesParts) {
    this.#parts = parts
  }

  /** The page at a path, which may have a query; one with the code 404 where there is none. */
  async page(path: string): Promise<Page> {
    switch (path.replace(/\?.*$/s, '').replace(/(?<=.)\/$/, '')) {
      case '/healthz':
        return page('text/plain; charset=utf-8', 'ok')
      case '/metrics':
        return metrics(kubeletFamilies(await this.#snapshot(), this.#parts.version))
      case '/metrics/cadvisor':
        return metrics(cadvisorFamilies(await this.#snapshot()))
      case '/metrics/resource':
        return metrics(resourceFamilies(await this.#snapshot()))
      case '/stats/summary':
        return page('application/json', JSON.stringify(summaryOf(await this.#snapshot())))
      default:
        return page(
          'text/plain; charset=utf-8',
          '404 page not found\nThe pages are /healthz, /metrics, /metrics/cadvisor, /metrics/resource and /stats/summary.\n',
          404,
        )
    }
  }

  /** Those who ask at the same time share one look. */
  #snapshot(): Promise<NodeSnapshot> {
    return (this.#taking ??= takeSnapshot(this.#parts).finally(() => (this.#taking = undefined)))
  }
}

function metrics(families: readonly Family[]): Page {
  return page(EXPOSITION_TYPE, formatFamilies(families))
}

function page(contentType: string, text: string, code = 200): Page {
  return { code, contentType, body: Buffer.from(text) }
}
