/**
 * How many requests came to the door, by face, verb, resource and outcome. The Kubernetes face counts its exchanges of
 * HTTP by itself, under the names that dashboards know (kube/health).
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { RequestOutcome } from './audit.ts'
import type { RequestInfo } from './request-info.ts'

const LABELS = ['face', 'verb', 'group', 'resource', 'subresource'] as const

type Label = (typeof LABELS)[number]

/** Those of one verb on one resource by one face, looked up once. */
interface Series {
  readonly labels: Readonly<Record<Label, string>>
  readonly underWay: Gauge.Internal<Label>
  readonly outcomes: Map<string, Counter.Internal>
}

export class RequestCounter {
  readonly #total: Counter<Label | 'code'>
  readonly #underWay: Gauge<Label>
  readonly #series = new Map<string, Series>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#total = new Counter({
      name: 'gantry_requests_total',
      help: 'Requests that are answered, refused or over, of every face.',
      labelNames: [...LABELS, 'code'],
      registers,
    })
    this.#underWay = new Gauge({
      name: 'gantry_requests_in_flight',
      help: 'Requests under way, watches and streams among them.',
      labelNames: LABELS,
      registers,
    })
  }

  begin(info: RequestInfo): void {
    this.#of(info).underWay.inc()
  }

  end(info: RequestInfo, { code }: RequestOutcome): void {
    const { labels, underWay, outcomes } = this.#of(info)
    underWay.dec()
    let count = outcomes.get(code)
    if (count === undefined) outcomes.set(code, (count = this.#total.labels({ ...labels, code })))
    count.inc()
  }

  /** Of paths beside the resources there may be any number: they are counted together, as a resource of no name. */
  #of({ face, verb, group = '', resource = '', subresource = '' }: RequestInfo): Series {
    const key = `${face} ${verb} ${group}/${resource}/${subresource}`
    let series = this.#series.get(key)
    if (series === undefined) {
      const labels = { face, verb, group, resource, subresource }
      this.#series.set(key, (series = { labels, underWay: this.#underWay.labels(labels), outcomes: new Map() }))
    }
    return series
  }
}
