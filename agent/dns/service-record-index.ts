/**
 * What of a view is names: which Services' records differ since the last change. Pure, but for the slices' owners that
 * it remembers.
 */
import type { EndpointSlice } from '../../proto/gen/types.ts'
import type { NetworkChange, NetworkView } from '../network/contract.ts'
import type { ZoneRecord } from './encode.ts'
import { SERVICE_LABEL, serviceRecords } from './service-records.ts'

/** The records of each Service ("namespace/name") that stand in place of those before; no records: it is gone. */
export type ZoneChange = Iterable<readonly [source: string, records: readonly ZoneRecord[]]>

export class ServiceRecordIndex {
  /** Slices of each Service, by their keys. */
  readonly #slices = new Map<string, Map<string, EndpointSlice>>()
  /** The Service of each slice: a slice that is gone no longer tells. */
  readonly #owners = new Map<string, string>()

  /** Everything that stands in the view, for a zone that is to have nothing else. */
  all(view: NetworkView): ZoneChange {
    this.#slices.clear()
    this.#owners.clear()
    for (const [key, slice] of view.objects('EndpointSlice')) this.#put(key, slice)
    return this.#records(view, view.objects('Service').keys())
  }

  /** What the keys of the change have to do with; empty if it is nothing. */
  changed(view: NetworkView, { keys }: NetworkChange): Map<string, readonly ZoneRecord[]> {
    const services = new Set<string>()
    const slices = view.objects('EndpointSlice')
    for (const name of keys) {
      const [kind, key] = split(name)
      if (kind === 'Service') services.add(key)
      if (kind !== 'EndpointSlice') continue
      const before = this.#owners.get(key)
      if (before !== undefined) {
        services.add(before)
        this.#take(key, before)
      }
      const slice = slices.get(key)
      const after = slice === undefined ? undefined : this.#put(key, slice)
      if (after !== undefined) services.add(after)
    }
    return new Map(this.#records(view, services))
  }

  *#records(view: NetworkView, services: Iterable<string>): Generator<[string, ZoneRecord[]]> {
    const objects = view.objects('Service')
    for (const key of services) {
      const service = objects.get(key)
      yield [
        key,
        service === undefined
          ? []
          : serviceRecords(service, [...(this.#slices.get(key)?.values() ?? [])], view.ranges.cluster.domain),
      ]
    }
  }

  #put(key: string, slice: EndpointSlice): string | undefined {
    const name = slice.metadata.labels?.[SERVICE_LABEL]
    if (name === undefined) return undefined
    const owner = `${slice.metadata.namespace}/${name}`
    const slices = this.#slices.get(owner) ?? new Map<string, EndpointSlice>()
    this.#slices.set(owner, slices.set(key, slice))
    this.#owners.set(key, owner)
    return owner
  }

  #take(key: string, owner: string): void {
    this.#owners.delete(key)
    const slices = this.#slices.get(owner)
    slices?.delete(key)
    if (slices?.size === 0) this.#slices.delete(owner)
  }
}

function split(name: string): [kind: string, key: string] {
  const slash = name.indexOf('/')
  return [name.slice(0, slash), name.slice(slash + 1)]
}
