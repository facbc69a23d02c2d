import { sameJson } from '../../../proto/base/json.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../proto/gen/types.ts'
import { portsKey, type EndpointGroup } from './desired-endpoints.ts'

/** As Kubernetes has it: small enough to be sent for each change, large enough for most Services to need one. */
const SLICE_SIZE = 100

export interface SliceContent {
  readonly addressType: EndpointSlice['addressType']
  readonly ports: readonly EndpointPort[]
  readonly endpoints: readonly Endpoint[]
}

export interface SlicePlan {
  readonly create: readonly SliceContent[]
  readonly update: readonly { readonly slice: EndpointSlice; readonly content: SliceContent }[]
  /** To be removed when the others are written: what they hold may have moved. */
  readonly remove: readonly EndpointSlice[]
}

/** A slice as it is to become. */
interface Draft {
  readonly slice: EndpointSlice | undefined
  endpoints: Endpoint[]
  changed: boolean
}

/** `slices` are the Service's own that this reconciler manages. */
export function planSlices(
  groups: readonly EndpointGroup[],
  slices: readonly EndpointSlice[],
  size = SLICE_SIZE,
): SlicePlan {
  const sorted = [...slices].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const keyed = groups.map((group) => ({ group, key: keyOf(group) }))
  const keys = new Set(keyed.map(({ key }) => key))
  const stale = sorted.filter((slice) => !keys.has(keyOf(slice)))
  const create: SliceContent[] = []
  const update: { slice: EndpointSlice; content: SliceContent }[] = []
  const remove: EndpointSlice[] = []
  for (const { group, key } of keyed) {
    const own = sorted.filter((slice) => keyOf(slice) === key)
    if (own.length === 0) {
      const at = stale.findIndex(({ addressType }) => addressType === group.addressType)
      if (at >= 0) own.push(...stale.splice(at, 1))
    }
    const { addressType, ports } = group
    const drafts = fill(group, own, size)
    // Where there is no endpoint at all, one empty slice says so.
    const kept = drafts.filter(
      ({ endpoints }, index) => endpoints.length > 0 || (group.endpoints.length === 0 && index === 0),
    )
    for (const { slice, endpoints, changed } of kept) {
      const content = { addressType, ports, endpoints }
      if (slice === undefined) create.push(content)
      else if (changed || keyOf(slice) !== key) update.push({ slice, content })
    }
    for (const draft of drafts) if (draft.slice !== undefined && !kept.includes(draft)) remove.push(draft.slice)
  }
  return { create, update, remove: [...remove, ...stale] }
}

function keyOf({
  addressType,
  ports = [],
}: Pick<EndpointSlice, 'addressType'> & { readonly ports?: readonly EndpointPort[] | undefined }): string {
  return `${addressType} ${portsKey(ports)}`
}

/** What an endpoint is, whatever becomes of its address. */
function identityOf({ targetRef, addresses = [] }: Endpoint): string {
  return targetRef?.uid ?? addresses[0] ?? ''
}

/** The group's endpoints, each in one draft; at least one draft. */
function fill({ endpoints }: EndpointGroup, slices: readonly EndpointSlice[], size: number): Draft[] {
  const left = new Map(endpoints.map((endpoint) => [identityOf(endpoint), endpoint]))
  const total = left.size
  const drafts = slices.map((slice) => settle(slice, left, size))
  const waiting = place([...left.values()], drafts, size)
  while (waiting.length > 0) drafts.push({ slice: undefined, endpoints: waiting.splice(0, size), changed: true })
  consolidate(drafts, total, size)
  return drafts.length === 0 ? [{ slice: undefined, endpoints: [], changed: true }] : drafts
}

/**
 * Puts endpoints into drafts that change anyway, then into the fullest: as few slices as possible are written, and gaps
 * close. Those that find no place.
 */
function place(endpoints: readonly Endpoint[], drafts: readonly Draft[], size: number): Endpoint[] {
  const waiting = [...endpoints]
  const order = [...drafts].sort(
    (a, b) => Number(b.changed) - Number(a.changed) || b.endpoints.length - a.endpoints.length,
  )
  for (const draft of order) {
    const taken = waiting.splice(0, size - draft.endpoints.length)
    if (taken.length === 0) continue
    draft.endpoints.push(...taken)
    draft.changed = true
  }
  return waiting
}

/** What of a slice stays in it, changed in place where it differs; taken out of `left`. */
function settle(slice: EndpointSlice, left: Map<string, Endpoint>, size: number): Draft {
  const draft: Draft = { slice, endpoints: [], changed: false }
  for (const endpoint of slice.endpoints ?? []) {
    const identity = identityOf(endpoint)
    const wanted = left.get(identity)
    if (wanted === undefined || draft.endpoints.length === size) {
      draft.changed = true
      continue
    }
    left.delete(identity)
    const same = sameJson(endpoint, wanted)
    draft.endpoints.push(same ? endpoint : wanted)
    draft.changed ||= !same
  }
  return draft
}

/**
 * Empties the smallest slices while the others would be no more than half full: not sooner, so that a Service that
 * swells and shrinks does not make and remove slices all the time.
 */
function consolidate(drafts: readonly Draft[], total: number, size: number): void {
  const filled = drafts
    .filter(({ endpoints }) => endpoints.length > 0)
    .sort((a, b) => b.endpoints.length - a.endpoints.length)
  while (filled.length > 1 && total * 2 <= size * (filled.length - 1)) {
    const { endpoints } = filled.at(-1)!
    place(endpoints.splice(0), filled.slice(0, -1), size)
    filled.pop()
  }
}
