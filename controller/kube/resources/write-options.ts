/** What a writing request says of how it is to be done: CreateOptions, UpdateOptions, PatchOptions, DeleteOptions. */
import { inspectMessage } from '../../../proto/codec/codec.ts'
import type { DeleteOptions as DeleteOptionsMessage, JsonObject } from '../../../proto/gen/types.ts'
import type { DeleteOptions, FieldValidation, WriteContext } from '../../api/contract.ts'
import { inOrder, reportProblems } from '../../api/field-validation.ts'
import { readOptions } from '../body.ts'
import type { KubeRequest } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { HttpError } from '../status.ts'
import { integer, invalidOptions } from './query.ts'

/** As Kubernetes has it. https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers */
const MANAGER_LENGTH = 128

type Options = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions'

/** Invalid (422) for an option of another value than there is. */
export function writeContext(request: KubeRequest, options: Options): WriteContext {
  const { query, user } = request
  return {
    fieldManager: managerOf(request, options),
    user,
    fieldValidation: validationOf(query, options),
    dryRun: dryRunOf(query.getAll('dryRun'), options),
    warn: warnOnce(request),
  }
}

/** A write that is tried again would warn again. */
function warnOnce(request: KubeRequest): (text: string) => void {
  const told = new Set<string>()
  return (text) => {
    if (told.has(text)) return
    told.add(text)
    request.warn(text)
  }
}

/** Who does not say whose the fields are is known by its program: kubectl/v1.32.0 (linux/amd64) is kubectl. */
function managerOf({ query, headers }: KubeRequest, options: Options): string {
  const named = query.get('fieldManager') ?? ''
  if (named.length > MANAGER_LENGTH)
    throw invalidOptions(options, {
      field: 'fieldManager',
      value: named,
      message: `may not be more than ${MANAGER_LENGTH} bytes`,
      reason: 'FieldValueTooLong',
    })
  if (/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(named))
    throw invalidOptions(options, {
      field: 'fieldManager',
      value: named,
      message: 'should only contain printable characters',
    })
  if (named !== '') return named
  const program = (headers['user-agent'] ?? '').split('/', 1)[0]!.slice(0, MANAGER_LENGTH)
  return program === '' ? 'unknown' : program
}

function validationOf(query: URLSearchParams, options: Options): FieldValidation {
  const said = query.get('fieldValidation') ?? ''
  if (said === '') return 'Warn'
  if (said === 'Strict' || said === 'Warn' || said === 'Ignore') return said
  throw invalidOptions(options, {
    field: 'fieldValidation',
    value: said,
    message: 'supported values: "", "Ignore", "Strict", "Warn"',
    reason: 'FieldValueNotSupported',
  })
}

function dryRunOf(said: readonly string[], options: string): boolean {
  const other = said.find((value) => value !== '' && value !== 'All')
  if (other !== undefined)
    throw invalidOptions(options, {
      field: 'dryRun',
      value: other,
      message: 'supported values: "All"',
      reason: 'FieldValueNotSupported',
    })
  return said.includes('All')
}

export interface Deletion {
  readonly options: DeleteOptions
  readonly context: WriteContext
}

/** Of the body, or, if there is none, of the query. BadRequest, Invalid. */
export async function deletionOf(request: KubeRequest): Promise<Deletion> {
  const body = await readOptions(request, 'DeleteOptions')
  const { object, problems } = inspectMessage('DeleteOptions', body?.value ?? queried(request.query))
  const context = { ...writeContext(request, 'UpdateOptions'), dryRun: dryRunOf(object.dryRun ?? [], 'DeleteOptions') }
  reportProblems(inOrder(problems, body?.problems ?? []), { fieldValidation: 'Warn', warn: context.warn })
  return { options: deleteOptions(object), context }
}

/** The parameters that stand for a body. */
function queried(query: URLSearchParams): JsonObject {
  const [grace, orphan] = [integer(query, 'gracePeriodSeconds'), flag(query, 'orphanDependents')]
  const [policy, dryRun] = [query.get('propagationPolicy') ?? '', query.getAll('dryRun')]
  return {
    ...(grace !== undefined && { gracePeriodSeconds: grace }),
    ...(orphan !== undefined && { orphanDependents: orphan }),
    ...(policy !== '' && { propagationPolicy: policy }),
    ...(dryRun.length > 0 && { dryRun }),
  }
}

const PROPAGATION = { Foreground: 'FOREGROUND', Background: 'BACKGROUND', Orphan: 'ORPHAN' } as const

/** Invalid for two words on what becomes of dependents. */
export function deleteOptions({
  gracePeriodSeconds,
  propagationPolicy,
  orphanDependents,
  preconditions,
}: DeleteOptionsMessage): DeleteOptions {
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    throw invalidOptions('DeleteOptions', {
      field: 'propagationPolicy',
      value: propagationPolicy,
      message: 'orphanDependents and deletionPropagation cannot be both set',
    })
  }
  const propagation =
    propagationPolicy !== undefined
      ? PROPAGATION[propagationPolicy]
      : orphanDependents === undefined
        ? undefined
        : orphanDependents
          ? 'ORPHAN'
          : 'BACKGROUND'
  return {
    ...(propagation !== undefined && { propagation }),
    ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
    ...(preconditions?.uid !== undefined && { uid: preconditions.uid }),
    ...(preconditions?.resourceVersion !== undefined && { resourceVersion: preconditions.resourceVersion }),
  }
}

/** Apply says whose the fields are to be. */
export function requireManager({ query }: KubeRequest): void {
  if ((query.get('fieldManager') ?? '') === '')
    throw invalidOptions('PatchOptions', {
      field: 'fieldManager',
      message: 'is required for apply patch',
      reason: 'FieldValueRequired',
    })
}

/** `force` is for apply alone. */
export function refuseForce({ query }: KubeRequest): void {
  if (flag(query, 'force') !== undefined)
    throw new HttpError(
      422,
      'Invalid',
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    )
}
