/** What is waited for: a condition, a value, that an object is there or gone. The words of `kubectl wait --for`. */
import { encodeJson } from '../codec/codec.ts'
import type { Clock } from '../base/clock.ts'
import type { AnyResource } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'
import type { ObjectKey } from './object-key.ts'
import { UsageError, notFound } from './failures.ts'
import type { Path } from '../base/jsonpath/syntax.ts'
import { findValues, parseSinglePath, showValue } from '../base/jsonpath/jsonpath.ts'
import { observe } from './follow.ts'

export type WaitCondition =
  | { readonly is: 'delete' | 'create' }
  | { readonly is: 'condition'; readonly type: string; readonly status: string }
  /** Without a value: that the path finds anything. */
  | { readonly is: 'path'; readonly path: Path; readonly value: string | undefined }

export interface WaitTarget extends ObjectKey {
  /** Only this object of that name; another one means that it is gone. */
  readonly uid?: string | undefined
}

/** UsageError for words that are none. */
export function parseWaitCondition(text: string): WaitCondition {
  const [word, rest] = /^([^=]+)=(.*)$/s.exec(text)?.slice(1) ?? [text, undefined]
  const lower = word!.toLowerCase()
  if ((lower === 'delete' || lower === 'create') && rest === undefined) return { is: lower }
  if (lower === 'condition' && rest !== undefined && rest !== '') {
    const [type, status = 'True'] = rest.split('=')
    return { is: 'condition', type: type!, status }
  }
  if (lower === 'jsonpath' && rest !== undefined && rest !== '') {
    const close = rest.lastIndexOf('}')
    const end = close >= 0 ? close + 1 : /^[^=]*/.exec(rest)![0].length
    const tail = rest.slice(end)
    if (tail !== '' && !tail.startsWith('='))
      throw new UsageError(`--for=${text}: "=" is expected after the path, not "${tail}"`)
    return {
      is: 'path',
      path: parseSinglePath(rest.slice(0, end).replace(/^["']|["']$/g, '')),
      value: tail === '' ? undefined : tail.slice(1).replace(/^["'](.*)["']$/, '$1'),
    }
  }
  throw new UsageError(
    `--for=${text} is unknown`,
    'it is condition=NAME[=VALUE], delete, create, or jsonpath=PATH[=VALUE]',
  )
}

/** Resolves when the object is in the state; NotFound for one that is not there, unless that is what is waited for. */
export async function awaitState(
  cluster: ClusterClient,
  clock: Clock,
  { kind, namespace, name, uid }: WaitTarget,
  wanted: WaitCondition,
  signal: AbortSignal,
): Promise<void> {
  for await (const object of observe(cluster, clock, kind, namespace, name, signal)) {
    if (object === undefined && wanted.is !== 'delete' && wanted.is !== 'create') throw notFound(kind, namespace, name)
    const replaced = wanted.is === 'delete' && uid !== undefined && object !== undefined && object.metadata.uid !== uid
    if (replaced || isIn(object, wanted)) return
  }
}

/** Whether an object, undefined for one that is not there, is in the state. */
export function isIn(object: AnyResource | undefined, wanted: WaitCondition): boolean {
  if (wanted.is === 'delete') return object === undefined
  if (object === undefined) return false
  switch (wanted.is) {
    case 'create':
      return true
    case 'condition':
      return hasCondition(object, wanted.type, wanted.status)
    case 'path': {
      const json = encodeJson(object)
      const values = findValues(wanted.path, json, json)
      return wanted.value === undefined
        ? values.length > 0
        : values.length === 1 && showValue(values[0]!) === wanted.value
    }
  }
}

/** A condition that was set for an older spec does not count. */
function hasCondition(object: AnyResource, type: string, status: string): boolean {
  const seen = (encodeJson(object).status ?? {}) as {
    observedGeneration?: number
    conditions?: { type: string; status: string }[]
  }
  if (seen.observedGeneration !== undefined && seen.observedGeneration < (object.metadata.generation ?? 0)) return false
  return (
    seen.conditions?.some(
      (condition) =>
        condition.type.toLowerCase() === type.toLowerCase() && condition.status.toLowerCase() === status.toLowerCase(),
    ) === true
  )
}
