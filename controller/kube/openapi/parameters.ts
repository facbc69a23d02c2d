/**
 * What can be said in a request's path and query.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/
 */

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly description: string
  readonly type: 'string' | 'integer' | 'boolean'
}

function query(name: string, type: Parameter['type'], description: string): Parameter {
  return { name, in: 'query', type, description }
}

export const NAME: Parameter = { name: 'name', in: 'path', type: 'string', description: 'The name of the object.' }
export const NAMESPACE: Parameter = {
  name: 'namespace',
  in: 'path',
  type: 'string',
  description: 'The namespace of the object.',
}
export const PRETTY = query('pretty', 'string', '"true": the answer is indented.')

const DRY_RUN = query('dryRun', 'string', 'All: everything is done but the write itself.')
const FIELD_MANAGER = query(
  'fieldManager',
  'string',
  'Who owns the fields that are written: at most 128 printable characters.',
)
const FIELD_VALIDATION = query(
  'fieldValidation',
  'string',
  'What becomes of fields that are unknown, that come twice or that Gantry does not act on. Ignore: they are dropped. Warn: and a warning is sent. Strict: the request is refused.',
)
const FORCE = query('force', 'boolean', 'Of an apply patch: fields that others own are taken over.')

const CONTINUE = query('continue', 'string', 'From the page before: what is listed goes on behind it.')
const LIMIT = query('limit', 'integer', 'Objects on a page, at most.')
const FIELD_SELECTOR = query(
  'fieldSelector',
  'string',
  'A selector to restrict the list of returned objects by their fields. Defaults to everything.',
)
const LABEL_SELECTOR = query(
  'labelSelector',
  'string',
  'A selector to restrict the list of returned objects by their labels. Defaults to everything.',
)
const RESOURCE_VERSION = query(
  'resourceVersion',
  'string',
  'The state of the store that is to be shown, or from which a watch goes on.',
)
const RESOURCE_VERSION_MATCH = query(
  'resourceVersionMatch',
  'string',
  'How resourceVersion is meant: Exact or NotOlderThan.',
)
const SEND_INITIAL_EVENTS = query(
  'sendInitialEvents',
  'boolean',
  'Of a watch: what there is comes first, then a bookmark.',
)
const TIMEOUT = query('timeoutSeconds', 'integer', 'Seconds after which the request ends.')

export const WRITING: readonly Parameter[] = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION]
export const PATCHING: readonly Parameter[] = [...WRITING, FORCE]

export const LISTING: readonly Parameter[] = [
  query('allowWatchBookmarks', 'boolean', 'Of a watch: bookmarks say from where it could go on.'),
  CONTINUE,
  FIELD_SELECTOR,
  LABEL_SELECTOR,
  LIMIT,
  RESOURCE_VERSION,
  RESOURCE_VERSION_MATCH,
  SEND_INITIAL_EVENTS,
  TIMEOUT,
  query('watch', 'boolean', 'Watch for changes to the described resources, which are told as they happen.'),
]

export const DELETION: readonly Parameter[] = [
  DRY_RUN,
  query('gracePeriodSeconds', 'integer', 'Seconds allowed; 0: at once.'),
  query('orphanDependents', 'boolean', 'Deprecated: see propagationPolicy.'),
  query('propagationPolicy', 'string', 'What becomes of objects that belong to it: Foreground, Background or Orphan.'),
]

export const COLLECTION: readonly Parameter[] = [
  ...DELETION,
  CONTINUE,
  FIELD_SELECTOR,
  LABEL_SELECTOR,
  LIMIT,
  RESOURCE_VERSION,
  RESOURCE_VERSION_MATCH,
  SEND_INITIAL_EVENTS,
  TIMEOUT,
]

const CONTAINER = query('container', 'string', 'Which container; needed where there are several.')
const COMMAND_STREAMS = [
  query('stdin', 'boolean', 'The command reads from the connection.'),
  query('stdout', 'boolean', 'Its output is sent.'),
  query('stderr', 'boolean', 'Its errors are sent.'),
  query('tty', 'boolean', 'It has a terminal.'),
]

/** What subresources that are no objects can be told, by their name. */
const OF_SUBRESOURCES: Readonly<Record<string, readonly Parameter[]>> = {
  log: [
    CONTAINER,
    query('follow', 'boolean', 'Lines are sent as they are written.'),
    query('previous', 'boolean', 'The log of the container that ran before.'),
    query('sinceSeconds', 'integer', 'Only lines of the last seconds.'),
    query('sinceTime', 'string', 'Only lines since a time (RFC 3339).'),
    query('timestamps', 'boolean', 'Each line begins with its time.'),
    query('tailLines', 'integer', 'Only the last lines.'),
    query('limitBytes', 'integer', 'Only so many bytes.'),
  ],
  exec: [query('command', 'string', 'The command; once for each argument.'), CONTAINER, ...COMMAND_STREAMS],
  attach: [CONTAINER, ...COMMAND_STREAMS],
  portforward: [query('ports', 'integer', 'The ports to connect to.')],
  proxy: [],
}

export function subresourceParameters(name: string): readonly Parameter[] {
  return OF_SUBRESOURCES[name] ?? []
}
