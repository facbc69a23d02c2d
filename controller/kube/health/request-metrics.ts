/**
 * What is asked of the face and what becomes of it, in numbers: Kubernetes' names, for those who have dashboards.
 * https://kubernetes.io/docs/reference/instrumentation/metrics/
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { isLongRunningRoute, type Route } from '../router.ts'

/** Seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

const VERBS: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' }

interface Labels {
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly scope: string
}

type Name = keyof Labels
type Label = Name | 'code'

/** Those of one verb on one resource, looked up once. */
interface Series {
  readonly labels: Labels
  readonly long: Gauge.Internal<Name> | undefined
  readonly duration: Histogram.Internal<Name> | undefined
  readonly codes: Map<number, Counter.Internal>
}

const NAMES: readonly Name[] = ['verb', 'group', 'version', 'resource', 'subresource', 'scope']

export class RequestMetrics {
  readonly #total: Counter<Label>
  readonly #duration: Histogram<Name>
  readonly #long: Gauge<Name>
  readonly #inFlight: {
    readonly readOnly: Gauge.Internal<'request_kind'>
    readonly mutating: Gauge.Internal<'request_kind'>
  }
  readonly #series = new Map<string, Series>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#total = new Counter({
      name: 'apiserver_request_total',
      help: 'Requests answered.',
      labelNames: [...NAMES, 'code'],
      registers,
    })
    this.#duration = new Histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Seconds from a request to the end of its answer; watches and streams are not among them.',
      labelNames: NAMES,
      buckets: BUCKETS,
      registers,
    })
    this.#long = new Gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Watches and streams under way.',
      labelNames: NAMES,
      registers,
    })
    const inFlight = new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests under way, without watches and streams.',
      labelNames: ['request_kind'],
      registers,
    })
    this.#inFlight = { readOnly: inFlight.labels('readOnly'), mutating: inFlight.labels('mutating') }
  }

  begin(place: Route): void {
    if (isLongRunningRoute(place)) this.#of(place, '').long!.inc()
    else this.#flight(place).inc()
  }

  /** `place`: undefined for a path that is nobody's, which `begin` was not told of. */
  end(place: Route | undefined, method: string, code: number, seconds: number): void {
    const series = this.#of(place, method)
    if (place !== undefined) {
      if (series.long !== undefined) series.long.dec()
      else this.#flight(place).dec()
    }
    let count = series.codes.get(code)
    if (count === undefined)
      series.codes.set(code, (count = this.#total.labels({ ...series.labels, code: String(code) })))
    count.inc()
    series.duration?.observe(seconds)
  }

  #flight(place: Route): Gauge.Internal<'request_kind'> {
    const reads = place.is === 'endpoint' || place.verb === 'get' || place.verb === 'list'
    return reads ? this.#inFlight.readOnly : this.#inFlight.mutating
  }

  #of(place: Route | undefined, method: string): Series {
    const labels = labelsOf(place, method)
    const key = Object.values(labels).join(' ')
    let series = this.#series.get(key)
    if (series === undefined) {
      const long = place !== undefined && isLongRunningRoute(place)
      series = {
        labels,
        long: long ? this.#long.labels({ ...labels }) : undefined,
        duration: long ? undefined : this.#duration.labels({ ...labels }),
        codes: new Map(),
      }
      this.#series.set(key, series)
    }
    return series
  }
}

function labelsOf(place: Route | undefined, method: string): Labels {
  if (place?.is !== 'resource')
    return {
      verb: METHODS.has(method) ? method : 'other',
      group: '',
      version: '',
      resource: '',
      subresource: place === undefined ? '' : place.endpoint.path,
      scope: '',
    }
  const {
    verb,
    target: { resource, namespace, name, subresource },
  } = place
  const scope = name !== '' ? 'resource' : namespace !== '' ? 'namespace' : 'cluster'
  return {
    verb: VERBS[verb] ?? verb.toUpperCase(),
    group: resource.group,
    version: resource.version,
    resource: resource.plural,
    subresource,
    scope,
  }
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
