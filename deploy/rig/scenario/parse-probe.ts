/** Reads what is looked at: a map whose first word (object, run, http …) says what it is. */
import { recordOf } from '../../../proto/client/kinds/registry.ts'
import { kindOf } from '../../../proto/client/operands.ts'
import { parseSinglePath } from '../../../proto/base/jsonpath/jsonpath.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../../proto/objects/selector.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { Named } from '../faults/values.ts'
import type { CommandTarget, NamedPath, ObjectSelection, Probe } from './scenario.ts'
import type { Fields, YamlNode } from './yaml-node.ts'
import { references, replaceReferences, unknownReference } from './variables.ts'

/** What is known while a file is read. */
export interface Scope {
  readonly namespace: string
  /** The rig's. */
  readonly machines: readonly Named[]
  /** Names that a step before has remembered. */
  readonly remembered: Set<string>
}

export const OBJECT_KEYS = ['object', 'objects', 'selector', 'fields', 'namespace'] as const
/** What the first word goes with. */
export const PROBES = {
  object: ['object', 'selector', 'fields', 'namespace', 'path'],
  objects: ['objects', 'selector', 'fields', 'namespace', 'path'],
  run: ['run', 'on'],
  gantry: ['gantry'],
  logs: ['logs', 'container'],
  http: ['http', 'on', 'pods'],
} as const
export type ProbeWord = keyof typeof PROBES

/** The word by which a map says what it is; a problem if there is none or more than one. */
export function firstWord(slot: YamlNode, words: readonly string[], what: string): string | undefined {
  if (!slot.isMap) return slot.refuse(`is not ${what}: a map is expected, with one of ${words.join(', ')}`)
  const names = slot.entries().map(([name]) => name)
  const found = names.filter((name) => words.includes(name))
  if (found.length === 1) return found[0]
  if (found.length > 1)
    return slot.refuse(`${found.join(' and ')} do not go together in ${what}`, { remedy: 'make two of it' })
  const near = names.map((name) => ({ name, meant: nearest(name, words) })).find(({ meant }) => meant !== undefined)
  if (near !== undefined) {
    const [, wrong] = slot.entries().find(([name]) => name === near.name)!
    return wrong.refuse(`is not known in ${what}`, { key: true, remedy: `did you mean ${near.meant}?` })
  }
  return slot.refuse(`is not ${what}: it has none of ${words.join(', ')}`)
}

/** A probe without expectations: what `remember` remembers. Lone text is itself what is remembered. */
export function readProbe(slot: YamlNode, scope: Scope): Probe | undefined {
  if (!slot.isMap && !slot.isList) {
    const text = readWord(slot, scope)
    return text === undefined ? undefined : { is: 'text', text }
  }
  const word = firstWord(slot, Object.keys(PROBES), 'something to remember') as ProbeWord | undefined
  if (word === undefined) return undefined
  const fields = slot.fields<string>(PROBES[word], `what is remembered of ${word}`)
  const probe = fields === undefined ? undefined : readProbeFields(fields, word, scope)
  if (probe?.is === 'objects' && probe.paths.length === 0)
    return slot.refuse('needs "path": which values of the objects', { key: true })
  return probe
}

/** Reads a probe from the fields of a map; `word` is the one of them that says what is looked at. */
export function readProbeFields(fields: Fields, word: ProbeWord, scope: Scope): Probe | undefined {
  const slot = fields.get(word)!
  switch (word) {
    case 'object':
    case 'objects': {
      const objects = readSelection(fields, scope)
      const paths = (fields.get('path')?.itemsOrSelf() ?? []).flatMap(
        (one): NamedPath[] => one.read((text) => [{ text, path: parseSinglePath(text) }]) ?? [],
      )
      return objects === undefined ? undefined : { is: 'objects', objects, paths }
    }
    case 'run':
      return readRun(fields, scope)
    case 'gantry': {
      const words = readWords(slot, scope)
      return words === undefined ? undefined : { is: 'gantry', words }
    }
    case 'logs': {
      const object = readPodOperand(slot, scope)
      return object === undefined ? undefined : { is: 'logs', object, container: fields.get('container')?.text() }
    }
    case 'http':
      return readHttp(fields, scope)
  }
}

/** A command and where it runs. */
export function readRun(fields: Fields, scope: Scope): (Probe & { is: 'command' }) | undefined {
  const slot = fields.get('run')!
  const command = slot.isList ? readWords(slot, scope) : slot.text()
  const place = readPlace(fields.get('on'), scope)
  return command === undefined || place === undefined ? undefined : { is: 'command', place, command }
}

/** Words of a command line: a list, or text that is split at its spaces. */
export function readWords(slot: YamlNode, scope: Scope): string[] | undefined {
  const words = slot.isList
    ? slot.items().flatMap((item) => readWord(item, scope) ?? [])
    : readWord(slot, scope)?.trim().split(/\s+/)
  return words === undefined || words.length > 0 ? words : slot.refuse('is empty; it must be a command')
}

function readPlace(slot: YamlNode | undefined, scope: Scope): CommandTarget | undefined {
  if (slot === undefined) return { is: 'host' }
  const text = slot.text()
  if (text === undefined) return undefined
  if (text === 'host') return { is: 'host' }
  if (text.includes('/')) {
    const object = readPodOperand(slot, scope)
    return object === undefined ? undefined : { is: 'pod', object }
  }
  const name = readMachine(slot, scope, 'host, or a pod as pod/NAME')
  return name === undefined ? undefined : { is: 'machine', name }
}

/** A machine's name, or a reference that will be one. */
export function readMachine(slot: YamlNode, scope: Scope, also = ''): string | undefined {
  const name = readWord(slot, scope)
  const machines = scope.machines.map((machine) => machine.name)
  if (name === undefined || references(name).length > 0 || machines.includes(name)) return name
  const meant = nearest(name, machines)
  return slot.refuse(`the rig has no machine "${name}"`, {
    remedy:
      meant === undefined
        ? `it is one of ${machines.join(', ')}${also === '' ? '' : `, or ${also}`}`
        : `did you mean ${meant}?`,
  })
}

function readPodOperand(slot: YamlNode, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  if (text === undefined) return undefined
  return slot.read(() => {
    const kind = kindOf(text.includes('/') ? text.slice(0, text.indexOf('/')) : 'pod', SCHEMA_KINDS)
    const are = recordOf(kind).pods?.are
    if (are !== 'itself' && are !== 'made')
      throw new GantryError('InvalidArgument', `a ${kind} has no pods; name a pod or a workload`)
    return text.includes('/') ? text : `pod/${text}`
  })
}

function readHttp(fields: Fields, scope: Scope): Probe | undefined {
  const address = readWord(fields.get('http')!, scope)
  const pods = fields.get('pods')
  const on = fields.get('on')
  if (address === undefined) return undefined
  if (pods !== undefined) {
    if (on !== undefined)
      return on.refuse('pods are asked from their own nodes', { key: true, remedy: 'leave one of the two out' })
    if (!/^:\d+(\/.*)?$/.test(address))
      return fields
        .get('http')!
        .refuse(`"${address}" is not a port and path of pods`, { remedy: 'write :8080/ or :8080/path' })
    const selector = readSelector(pods, scope)
    return selector === undefined ? undefined : { is: 'http', address, from: { is: 'pods', selector } }
  }
  if (references(address).length === 0 && !isHttp(address))
    return fields
      .get('http')!
      .refuse(`"${address}" is not an http address`, {
        remedy: 'write http://HOST:PORT/PATH, or :PORT/PATH with "pods"',
      })
  const place = readPlace(on, scope)
  if (place === undefined) return undefined
  return place.is === 'pod'
    ? on!.refuse('http is asked from the host or a machine', {
        remedy: '`run` asks in a pod, with a program that it has',
      })
    : { is: 'http', address, from: place }
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

/** Objects by `object: TYPE/NAME`, or `objects: TYPE` with selectors. */
export function readSelection(fields: Fields, scope: Scope): ObjectSelection | undefined {
  const namespace = fields.get('namespace')?.text() ?? scope.namespace
  const one = fields.get('object')
  if (one !== undefined) {
    for (const key of ['selector', 'fields'])
      fields.get(key)?.refuse('goes with "objects", not with one object', { key: true })
    return readObject(one, namespace, scope)
  }
  const kind = fields.get('objects')!.read((word) => kindOf(word, SCHEMA_KINDS))
  if (kind === undefined) return undefined
  return {
    kind,
    name: undefined,
    selector: optional(fields.get('selector'), (slot) => readSelector(slot, scope)),
    fields: optional(fields.get('fields'), (slot) => readFieldSelector(slot, kind, scope)),
    namespace: placed(kind, namespace),
  }
}

function optional<T>(slot: YamlNode | undefined, read: (slot: YamlNode) => T | undefined): T | undefined {
  return slot === undefined ? undefined : read(slot)
}

/** TYPE/NAME. */
export function readObject(slot: YamlNode, namespace: string, scope: Scope): ObjectSelection | undefined {
  const text = readWord(slot, scope)
  if (text === undefined) return undefined
  return slot.read(() => {
    const [word = '', name = '', ...more] = text.split('/')
    if (word === '' || name === '' || more.length > 0)
      throw new GantryError('InvalidArgument', `"${text}" is not TYPE/NAME`, {
        details: [{ remedy: 'such as deployment/web; several are objects: TYPE' }],
      })
    const kind = kindOf(word, SCHEMA_KINDS)
    return { kind, name, selector: undefined, fields: undefined, namespace: placed(kind, namespace) }
  })
}

function placed(kind: Kind, namespace: string): string {
  return resourceOf(kind).namespaced ? namespace : ''
}

function readSelector(slot: YamlNode, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  return text === undefined
    ? undefined
    : slot.read(() => (parseLabelSelector(replaceReferences(text, () => 'x')), text))
}

function readFieldSelector(slot: YamlNode, kind: Kind, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  return text === undefined
    ? undefined
    : slot.read(
        () => (
          parseFieldSelector(
            replaceReferences(text, () => 'x'),
            kind,
          ),
          text
        ),
      )
}

/** Text that may refer to what was remembered; a problem if it refers to what was not. */
export function readWord(slot: YamlNode, { remembered }: Pick<Scope, 'remembered'>): string | undefined {
  const text = slot.text()
  const wrong =
    text === undefined
      ? undefined
      : references(text)
          .map((name) => unknownReference(name, remembered))
          .find((message) => message !== undefined)
  return wrong === undefined ? text : slot.refuse(wrong, { remedy: 'write $$ for a dollar' })
}

/** "deployment/web", "pods app=web" */
export function describeSelection({ kind, name, selector, fields }: ObjectSelection): string {
  const { plural } = resourceOf(kind)
  return name !== undefined
    ? `${kind.toLowerCase()}/${name}`
    : [plural, selector, fields].filter((text) => text !== undefined).join(' ')
}

const SHOWN = 60

/** "`cat /etc/hostname` on n1" */
export function describeProbe(probe: Probe): string {
  switch (probe.is) {
    case 'objects':
      return describeSelection(probe.objects)
    case 'command': {
      const text = (typeof probe.command === 'string' ? probe.command : probe.command.join(' ')).trim().split('\n')[0]!
      const where =
        probe.place.is === 'host' ? '' : ` on ${probe.place.is === 'machine' ? probe.place.name : probe.place.object}`
      return `\`${text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text}\`${where}`
    }
    case 'gantry':
      return `\`gantry ${probe.words.join(' ')}\``
    case 'logs':
      return `log of ${probe.object}`
    case 'text':
      return probe.text
    case 'http':
      return `${probe.address}${probe.from.is === 'host' ? '' : ` ${probe.from.is === 'machine' ? `from ${probe.from.name}` : `of pods ${probe.from.selector}`}`}`
  }
}
