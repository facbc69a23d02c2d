/** The agent's configuration: a YAML or JSON file, whose values flags override. An unknown key or a wrong value is refused with its place. */
import { readFile } from 'node:fs/promises'
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode, type Pair } from 'yaml'
import { GantryError } from '../proto/api/errors.ts'
import { nearest } from '../proto/api/nearest.ts'
import { parseQuantity } from '../proto/api/quantity.ts'
import type { Taint } from '../proto/gen/types.ts'
import type { RegistriesConfig } from './images/contract.ts'

export interface AgentConfig {
  /** The node's name; the machine's host name if it is not given. */
  readonly name?: string
  /** The node's address in the cluster; that of the default route's interface if it is not given. */
  readonly address?: string
  /** host:port of each controller. */
  readonly controllers: readonly string[]
  /** Files in PEM form. Without it the controllers are spoken to in the clear. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string; readonly serverName?: string }
  readonly stateDir: string
  readonly runDir: string
  readonly cgroupParent: string
  readonly runtime: 'auto' | 'crun' | 'runc'
  readonly registries: RegistriesConfig
  /** Resource → quantity: instead of what the machine has, or in addition. */
  readonly capacity: Readonly<Record<string, string>>
  /** Resource → quantity kept back for the machine itself. */
  readonly reserved: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** At registration. */
  readonly taints: readonly Taint[]
  /** Processes in a pod at most. */
  readonly podPidsLimit: number
  readonly logs: { readonly maxSize: string; readonly maxFiles: number }
}

export const DEFAULT_CONFIG: Omit<AgentConfig, 'controllers'> = {
  stateDir: '/var/lib/gantry/agent',
  runDir: '/run/gantry/agent',
  cgroupParent: '/gantry',
  runtime: 'auto',
  registries: {},
  capacity: {},
  reserved: {},
  labels: {},
  taints: [],
  podPidsLimit: 4096,
  logs: { maxSize: '10Mi', maxFiles: 5 },
}

/** Checks a value; returns what is wrong with it. */
type Rule =
  | { readonly is: 'text'; readonly check?: (text: string) => string | undefined }
  | { readonly is: 'count'; readonly least: number }
  | { readonly is: 'list'; readonly of: Rule; readonly nonEmpty?: boolean }
  | { readonly is: 'map'; readonly of: Rule }
  | { readonly is: 'object'; readonly fields: Readonly<Record<string, Rule>>; readonly required?: readonly string[] }

const text: Rule = { is: 'text' }
const quantity: Rule = { is: 'text', check: (value) => (isQuantity(value) ? undefined : `"${value}" is not a quantity, such as 500m or 2Gi`) }
const oneOf = (...values: string[]): Rule => ({ is: 'text', check: (value) => (values.includes(value) ? undefined : `"${value}" is none of ${values.join(', ')}`) })
const absolute: Rule = { is: 'text', check: (value) => (value.startsWith('/') ? undefined : `"${value}" is not an absolute path`) }
const hostPort: Rule = { is: 'text', check: (value) => (/^(\[[\da-fA-F:]+\]|[^:\s]+):\d{1,5}$/.test(value) ? undefined : `"${value}" is not HOST:PORT`) }

const CONFIG: Rule = {
  is: 'object',
  required: ['controllers'],
  fields: {
    name: { is: 'text', check: (value) => (/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(value) ? undefined : `"${value}" is not a node's name (a DNS subdomain, RFC 1123)`) },
    address: text,
    controllers: { is: 'list', of: hostPort, nonEmpty: true },
    tls: { is: 'object', fields: { ca: text, cert: text, key: text, serverName: text }, required: ['ca', 'cert', 'key'] },
    stateDir: absolute,
    runDir: absolute,
    cgroupParent: absolute,
    runtime: oneOf('auto', 'crun', 'runc'),
    registries: { is: 'object', fields: { mirrors: { is: 'map', of: { is: 'list', of: text } }, insecure: { is: 'list', of: text }, ca: { is: 'map', of: text } } },
    capacity: { is: 'map', of: quantity },
    reserved: { is: 'map', of: quantity },
    labels: { is: 'map', of: text },
    taints: { is: 'list', of: { is: 'object', fields: { key: text, value: text, effect: oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute') }, required: ['key', 'effect'] } },
    podPidsLimit: { is: 'count', least: 1 },
    logs: { is: 'object', fields: { maxSize: quantity, maxFiles: { is: 'count', least: 2 } } },
  },
}

function isQuantity(value: string): boolean {
  try {
    parseQuantity(value)
    return true
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return false
    throw thrown
  }
}

/** The configuration in a text, complete with defaults. InvalidArgument: every problem on a line of its own, as FILE:LINE:COLUMN: path: what. */
export function parseConfig(content: string, fileName: string, overrides: Partial<AgentConfig> = {}): AgentConfig {
  const lines = new LineCounter()
  const document = parseDocument(content, { lineCounter: lines, uniqueKeys: true })
  const problems: string[] = []
  const report = (offset: number, path: string, message: string): void => {
    const { line, col } = lines.linePos(offset)
    problems.push(`${fileName}:${line}:${col}: ${path === '' ? '' : `${path}: `}${message}`)
  }
  for (const error of document.errors) report(error.pos[0], '', error.message.split(' at line')[0]!)
  const root = document.contents
  if (problems.length === 0 && root !== null) check(CONFIG, root, '', report, new Set(Object.keys(overrides)))
  const given = problems.length === 0 ? ((document.toJS() as Partial<AgentConfig> | null) ?? {}) : {}
  const config = { ...DEFAULT_CONFIG, ...given, ...overrides, logs: { ...DEFAULT_CONFIG.logs, ...given.logs } }
  if (problems.length === 0 && config.controllers === undefined) problems.push(`${fileName}:1:1: controllers: required`)
  if (problems.length > 0) throw new GantryError('InvalidArgument', problems.join('\n'))
  return config as AgentConfig
}

/** The configuration of a file; without one of the overrides alone. NotFound, InvalidArgument. */
export async function loadConfig(path: string | undefined, overrides: Partial<AgentConfig>): Promise<AgentConfig> {
  if (path === undefined) return parseConfig('', 'configuration', overrides)
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (thrown) {
    const error = GantryError.from(thrown)
    throw new GantryError(error.code, `configuration file ${path}: ${error.message}`, { cause: thrown })
  }
  return parseConfig(content, path, overrides)
}

type Report = (offset: number, path: string, message: string) => void

function check(rule: Rule, node: YamlNode, path: string, report: Report, given: ReadonlySet<string> = new Set()): void {
  const at = node.range?.[0] ?? 0
  switch (rule.is) {
    case 'text':
      if (!isScalar(node) || typeof node.value !== 'string') return report(at, path, 'must be text (numbers and yes, no, true, false need quotes)')
      return reportIf(rule.check?.(node.value), at, path, report)
    case 'count':
      if (!isScalar(node) || !Number.isInteger(node.value) || (node.value as number) < rule.least) report(at, path, `must be a whole number, ${rule.least} or more`)
      return
    case 'list':
      if (!isSeq(node)) return report(at, path, 'must be a list')
      if (rule.nonEmpty === true && node.items.length === 0) report(at, path, 'must not be empty')
      return node.items.forEach((item, index) => check(rule.of, item as YamlNode, `${path}[${index}]`, report))
    case 'map':
      if (!isMap(node)) return report(at, path, 'must be a map')
      return node.items.forEach((pair) => check(rule.of, valueOf(pair, node), join(path, keyOf(pair)), report))
    case 'object':
      if (!isMap(node)) return report(at, path, 'must be a map')
      for (const pair of node.items) checkField(rule.fields, pair, node, path, report)
      for (const name of rule.required ?? []) if (!node.has(name) && !given.has(name)) report(at, join(path, name), 'required')
      return
  }
}

function checkField(fields: Readonly<Record<string, Rule>>, pair: Pair, parent: YamlNode, path: string, report: Report): void {
  const name = keyOf(pair)
  const rule = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (rule !== undefined) return check(rule, valueOf(pair, parent), join(path, name), report)
  const meant = nearest(name, Object.keys(fields))
  report((pair.key as YamlNode).range?.[0] ?? 0, join(path, name), `unknown key${meant === undefined ? '' : `; did you mean ${meant}?`}`)
}

function reportIf(problem: string | undefined, at: number, path: string, report: Report): void {
  if (problem !== undefined) report(at, path, problem)
}

function keyOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key)
}

/** A key without a value stands for nothing: reported at its parent's place. */
function valueOf(pair: Pair, parent: YamlNode): YamlNode {
  return (pair.value as YamlNode | null) ?? parent
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
