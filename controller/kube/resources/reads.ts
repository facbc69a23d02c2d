/** get, list and watch of what the store keeps. */
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Page } from '../../requests/list-paginator.ts'
import type { Selection } from '../../requests/selection.ts'
import type { Answer, Handle, ListMeta, ResourceRequest, ServedResource, Verb } from '../contract.ts'
import { encodableCached } from '../encodable-object.ts'
import { freshnessOf, listOptions, watchOptions } from './list-options.ts'
import { parameter } from './query.ts'
import { watchFrame } from './watch-frames.ts'

/** Seconds of a watch whose client does not say: between this and twice as much, so that not all come again at once. */
const WATCH_TIMEOUT = 1_800

/** By verb; `random` spreads the ends of watches. */
export function readVerbs(random: Random): Readonly<Partial<Record<Verb, Handle>>> {
  return { get: getObject, list: listObjects, watch: (request) => watchObjects(request, random) }
}

/** The object, whichever of its subresources that show all of it is asked for. */
export async function getObject({ query, target: { resource }, authorized }: ResourceRequest): Promise<Answer> {
  const cached = await authorized.get(freshnessOf(query.get('resourceVersion') ?? ''))
  return { is: 'object', object: encodableCached(cached, resource) }
}

async function listObjects(request: ResourceRequest): Promise<Answer> {
  const options = listOptions(request)
  const page = await ofParameter(request.authorized.list(options))
  return listAnswer(page, options.selection, request.target.resource)
}

/** A page as a list of the resource. */
export function listAnswer(page: Page, selection: Selection, resource: ServedResource): Answer {
  return {
    is: 'list',
    apiVersion: apiVersionOf(resource),
    kind: resource.listKind,
    metadata: listMeta(page, selection),
    items: page.items.map((cached) => encodableCached(cached, resource)),
  }
}

function listMeta({ revision, continue: token, remaining }: Page, selection: Selection): ListMeta {
  // How many more there are is not known of a selection, as in Kubernetes: not before all have been looked at.
  const counted = remaining > 0 && selection.isEverything
  return {
    resourceVersion: String(revision),
    ...(token !== '' && { continue: token }),
    ...(counted && { remainingItemCount: remaining }),
  }
}

async function watchObjects(request: ResourceRequest, random: Random): Promise<Answer> {
  const { resource } = request.target
  const { timeout = WATCH_TIMEOUT * (1 + random.next()), ...options } = watchOptions(request)
  const frames = await request.authorized.watch({ ...options, timeout }, request.signal, (event) =>
    watchFrame(event, resource),
  )
  return { is: 'watch', frames }
}

/** As `parameter`: for the token of a list. */
export async function ofParameter<T>(page: Promise<T>): Promise<T> {
  const settled = await page.then(
    (value) => () => value,
    (thrown: unknown) => (): T => {
      throw thrown
    },
  )
  return parameter(settled)
}
