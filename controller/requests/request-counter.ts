/**
 * How many requests came to the door, by face, verb, resource and outcome. The Kubernetes face counts its exchanges of
 * HTTP by itself, under the names that dashboards know (kube/health).
 *
 * Numbers are counted here and told to the registry when somebody reads it: its own way of counting looks up the labels
 * each time, which would cost several times as much as reading an object.
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { RequestOutcome } from './audit.ts'
import type { RequestInfo } from './request-info.ts'

const LABELS = ['face', 'verb', 'group', 'resource', 'subresource'] as const

/** Those of one verb on one resource by one face. */
export interface RequestSeries {
  readonly labels: Readonly<Record<(typeof LABELS)[number], string>>
  inFlight: number
  /** By code. */
  readonly ended: Map<string, number>
}

export class RequestCounter {
  readonly #series = new Map<string, RequestSeries>()

  constructor(registry: Registry) {
    const registers = [registry]
    const all = this.#series
    new Counter({
      name: 'gantry_requests_total',
      help: 'Requests that are answered, refused or over, of every face.',
      labelNames: [...LABELS, 'code'],
      registers,
      collect() {
        this.reset()
        for (const { labels, ended } of all.values())
          for (const [code, count] of ended) this.inc({ ...labels, code }, count)
      },
    })
    new Gauge({
      name: 'gantry_requests_in_flight',
      help: 'Requests under way, watches and streams among them.',
      labelNames: LABELS,
      registers,
      collect() {
        for (const { labels, inFlight } of all.values()) this.set(labels, inFlight)
      },
    })
  }

  /** What `end` is called with, once. Paths beside the resources are counted together, as a resource of no name. */
  begin({ face, verb, group = '', resource = '', subresource = '' }: RequestInfo): RequestSeries {
    const key = `${face} ${verb} ${group}/${resource}/${subresource}`
    let series = this.#series.get(key)
    if (series === undefined)
      this.#series.set(
        key,
        (series = { labels: { face, verb, group, resource, subresource }, inFlight: 0, ended: new Map() }),
      )
    series.inFlight++
    return series
  }

  end(series: RequestSeries, { code }: RequestOutcome): void {
    series.inFlight--
    series.ended.set(code, (series.ended.get(code) ?? 0) + 1)
  }
}
