/** What of an object is sent when a client asks for less than all of it: its metadata, or what a table shows. */
import type { Answer, ServedResource, WatchFrame, EncodableObject } from './contract.ts'
import type { ResponseFormat } from './negotiation.ts'
import { isStatus, metadataOf } from './partial-metadata.ts'
import { TableMaker, type IncludeObject } from './table.ts'

type Viewed = Extract<Answer, { is: 'object' | 'list' | 'watch' }>

export interface ViewContext {
  /** What the request was about: an empty list has the columns of its kind. */
  readonly resource: ServedResource | undefined
  readonly include: IncludeObject
  readonly now: () => number
}

/** The answer as the form has it. A Status is never less than all of it. */
export function viewed(answer: Viewed, form: ResponseFormat, context: ViewContext): Viewed {
  switch (form.view) {
    case 'whole':
      return answer
    case 'metadata':
      return ofMetadata(answer, `meta.k8s.io/${form.version}`)
    case 'table':
      return asTable(answer, `meta.k8s.io/${form.version}`, context)
  }
}

function ofMetadata(answer: Viewed, apiVersion: string): Viewed {
  switch (answer.is) {
    case 'object':
      return { ...answer, object: metadataOf(answer.object, apiVersion) }
    case 'list':
      return {
        ...answer,
        apiVersion,
        kind: 'PartialObjectMetadataList',
        items: answer.items.map((item) => metadataOf(item, apiVersion)),
      }
    case 'watch':
      return {
        is: 'watch',
        frames: mapFrames(answer.frames, ({ type, object }) => ({ type, object: metadataOf(object, apiVersion) })),
      }
  }
}

function asTable(answer: Viewed, apiVersion: string, { resource, include, now }: ViewContext): Viewed {
  const tables = new TableMaker(apiVersion, resource, include, now)
  switch (answer.is) {
    case 'object':
      return isStatus(answer.object)
        ? answer
        : { ...answer, object: tables.table([answer.object], { resourceVersion: versionOf(answer.object) }) }
    case 'list':
      return { is: 'object', object: tables.table(answer.items, answer.metadata) }
    case 'watch': {
      let first = true
      return {
        is: 'watch',
        frames: mapFrames(answer.frames, ({ type, object }) => {
          // A bookmark is about no object: it has no row.
          const table = tables.table(type === 'BOOKMARK' ? [] : [object], { resourceVersion: versionOf(object) }, first)
          first = false
          return { type, object: table }
        }),
      }
    }
  }
}

/** With each frame as `map` makes it; an ERROR, which carries a Status, stays as it is. */
function mapFrames(
  frames: AsyncIterable<WatchFrame>,
  map: (frame: WatchFrame) => WatchFrame,
): AsyncIterable<WatchFrame> {
  return {
    [Symbol.asyncIterator]: () => {
      const inner = frames[Symbol.asyncIterator]()
      const mapped = (result: IteratorResult<WatchFrame>): IteratorResult<WatchFrame> =>
        result.done === true || result.value.type === 'ERROR' ? result : { done: false, value: map(result.value) }
      return {
        next: async () => mapped(await inner.next()),
        return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
      }
    },
  }
}

function versionOf({ object }: EncodableObject): string {
  return (object as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion ?? ''
}
