/**
 * In which form an answer goes out: what the Accept header asks for, in its order of preference, as far as there is
 * such a form of what is sent.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources, RFC 9110 section
 * 12.5.1
 */
import { HttpError } from './status.ts'

export type Media = 'json' | 'yaml' | 'protobuf'
/** What of an object is sent: all of it, what a table shows of it, or its metadata. */
export type View = 'whole' | 'table' | 'metadata'

export interface ResponseFormat {
  readonly media: Media
  readonly view: View
  /** Of meta.k8s.io, for a view. */
  readonly version: 'v1' | 'v1beta1'
}

/** What there is. */
export interface SupportedFormats {
  readonly yaml: boolean
  /** Asked only when somebody wants it: to know it may be to encode the object. */
  protobuf(): boolean
  /** The object has metadata: a table and its metadata alone can be shown. */
  readonly views: boolean
}

export const MEDIA_TYPES: Readonly<Record<Media, string>> = {
  json: 'application/json',
  yaml: 'application/yaml',
  protobuf: 'application/vnd.kubernetes.protobuf',
}

const PLAIN_JSON: ResponseFormat = { media: 'json', view: 'whole', version: 'v1' }
const VIEWS: Readonly<Record<string, View>> = {
  Table: 'table',
  PartialObjectMetadata: 'metadata',
  PartialObjectMetadataList: 'metadata',
}
/**
 * Clients send one of a few headers, of some characters: whoever sends others, known or not, must not fill the memory
 * with them.
 */
const ACCEPT_CACHE_SIZE = 200
const REMEMBERED_LENGTH = 512
const known = new Map<string, readonly ResponseFormat[]>()

/** NotAcceptable (406) if the client takes nothing of what there is. */
export function negotiate(accept: string | undefined, forms: SupportedFormats): ResponseFormat {
  if (accept === undefined || accept === '' || accept === '*/*' || accept === MEDIA_TYPES.json) return PLAIN_JSON
  const found = wanted(accept).find(({ media, view }) => {
    if (view !== 'whole' && !forms.views) return false
    switch (media) {
      case 'json':
        return true
      case 'yaml':
        return forms.yaml
      case 'protobuf':
        return view !== 'table' && forms.protobuf()
    }
  })
  if (found !== undefined) return found
  const types = [
    MEDIA_TYPES.json,
    ...(forms.yaml ? [MEDIA_TYPES.yaml] : []),
    ...(forms.protobuf() ? [MEDIA_TYPES.protobuf] : []),
  ]
  throw new HttpError(406, 'NotAcceptable', `only the following media types are accepted: ${types.join(', ')}`)
}

/** The forms that a header asks for, the most wanted first. */
function wanted(accept: string): readonly ResponseFormat[] {
  if (accept.length > REMEMBERED_LENGTH) return parseAccept(accept)
  let forms = known.get(accept)
  if (forms === undefined) {
    if (known.size >= ACCEPT_CACHE_SIZE) known.clear()
    known.set(accept, (forms = parseAccept(accept)))
  }
  return forms
}

function parseAccept(accept: string): ResponseFormat[] {
  const clauses = accept.split(',').flatMap((text) => clauseOf(text))
  // The sort is stable: of equal weight, the first comes first, and what names a type before what takes any.
  return clauses.sort((a, b) => b.weight - a.weight || Number(a.any) - Number(b.any)).map(({ form }) => form)
}

/** One clause, or none if nothing of ours is meant. */
function clauseOf(text: string): { form: ResponseFormat; weight: number; any: boolean }[] {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim())
  const type = range.toLowerCase()
  const any = type === '*/*' || type === 'application/*'
  const media = any ? 'json' : (Object.keys(MEDIA_TYPES) as Media[]).find((one) => MEDIA_TYPES[one] === type)
  const values = new Map(
    parameters.map((part) => {
      const [name = '', value = ''] = part.split('=', 2).map((word) => word.trim().replace(/^"(.*)"$/, '$1'))
      return [name.toLowerCase(), value]
    }),
  )
  const weight = values.has('q') ? Number(values.get('q')) : 1
  if (media === undefined || !(weight > 0)) return []
  const as = values.get('as')
  if (as === undefined) return [{ form: { media, view: 'whole', version: 'v1' }, weight, any }]
  const view = values.get('g') === 'meta.k8s.io' && Object.hasOwn(VIEWS, as) ? VIEWS[as] : undefined
  const version = values.get('v') ?? ''
  return view !== undefined && (version === 'v1' || version === 'v1beta1')
    ? [{ form: { media, view, version }, weight, any }]
    : []
}

/** As Go's strconv.ParseBool reads them, which Kubernetes uses for this one parameter. */
const TRUTHS: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])

/** Whether JSON is to be laid out for people: when the query says so, and for browsers and the like that do not say. */
export function wantsPretty(query: URLSearchParams, userAgent: string | undefined): boolean {
  const asked = query.get('pretty')
  if (asked !== null && asked !== '') return TRUTHS.has(asked)
  return userAgent !== undefined && /^(?:curl|Wget|Mozilla\/5\.0)/.test(userAgent)
}
