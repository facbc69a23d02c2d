/**
 * pods/log.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { parseTime } from '../../../proto/base/time.ts'
import type { LogsRequest, Pod } from '../../../proto/gen/types.ts'
import type { Answer, ResourceRequest } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { badRequest, callOf, containerOf, placedPod, refusal } from './pod-target.ts'

/** Answers with the log's first bytes, or its end: until then an error is a Status. */
export async function getLog(request: ResourceRequest): Promise<Answer> {
  const { target, query, signal, authorized } = request
  const { namespace, name } = target
  const options = logOptions(query, name)
  const pod = await placedPod(authorized.backends.reads, target)
  const container = containerOf(pod, query.get('container') ?? '')
  const chunks = authorized.pods.logs({ namespace, pod: name, container, ...options }, callOf(request, signal))
  const first = await chunks.next().catch((thrown: unknown) => {
    throw GantryError.is(thrown, 'FailedPrecondition')
      ? badRequest(whyNone(pod, container, options.previous) ?? thrown.message)
      : refusal(thrown)
  })
  return { is: 'stream', type: 'text/plain', chunks: joined(first, chunks) }
}

async function* joined(
  first: IteratorResult<{ data?: Uint8Array }, void>,
  rest: AsyncIterator<{ data?: Uint8Array }, void>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let next = first; next.done !== true; next = await rest.next())
      if (next.value.data !== undefined) yield next.value.data
  } finally {
    await rest.return?.()
  }
}

/** As Kubernetes says it, and its clients know it. */
function whyNone({ metadata: { name }, status }: Pod, container: string, previous: boolean): string | undefined {
  if (previous) return `previous terminated container "${container}" in pod "${name}" not found`
  const waiting = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find(
    (one) => one.name === container,
  )?.state?.waiting
  return waiting === undefined
    ? undefined
    : `container "${container}" in pod "${name}" is waiting to start: ${waiting.reason ?? 'ContainerCreating'}`
}

const STREAMS: Readonly<Record<string, string | undefined>> = {
  '': undefined,
  All: undefined,
  Stdout: 'stdout',
  Stderr: 'stderr',
}

/** 400 for what is no number; InvalidArgument with the field for one that makes no sense. */
function logOptions(query: URLSearchParams, pod: string): Omit<LogsRequest, 'namespace' | 'pod' | 'container'> {
  const invalid = (field: string, value: string, message: string): GantryError => {
    return new GantryError('InvalidArgument', `the log of pod ${pod} cannot be had so: ${field} ${message}`, {
      details: [{ field, value, message }],
    })
  }
  const number = (field: string, least: number): number | undefined => {
    const text = query.get(field) ?? ''
    if (text === '') return undefined
    if (!/^[+-]?\d{1,15}$/.test(text)) throw badRequest(`${field}: "${text}" is not a number`)
    if (Number(text) < least) throw invalid(field, text, `must be greater than or equal to ${least}`)
    return Number(text)
  }
  const [tailLines, sinceSeconds, limitBytes] = [
    number('tailLines', 0),
    number('sinceSeconds', 1),
    number('limitBytes', 1),
  ]
  const sinceTime = query.get('sinceTime') ?? ''
  if (sinceTime !== '') {
    try {
      parseTime(sinceTime)
    } catch (thrown) {
      throw badRequest(`sinceTime: ${(thrown as Error).message}`)
    }
    if (sinceSeconds !== undefined)
      throw invalid('sinceSeconds', String(sinceSeconds), 'at most one of sinceTime or sinceSeconds may be specified')
  }
  const asked = query.get('stream') ?? ''
  const stream = STREAMS[asked]
  if (!Object.hasOwn(STREAMS, asked)) throw invalid('stream', asked, 'supported are All, Stdout, Stderr')
  if (stream !== undefined && tailLines !== undefined)
    throw invalid('tailLines', String(tailLines), 'may not be specified with a stream: lines are counted of both')
  const [follow, previous, timestamps] = ['follow', 'previous', 'timestamps'].map(
    (name) => flag(query, name) === true,
  ) as [boolean, boolean, boolean]
  return { follow, previous, timestamps, sinceTime, tailLines, sinceSeconds, limitBytes, stream }
}
