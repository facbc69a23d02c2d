/**
 * Reads scenario files. Everything is checked before anything is made: words, types, names, machines, faults' values,
 * manifests; all problems are told at once, each at FILE:LINE:COLUMN.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { formats } from '../../../proto/base/format.ts'
import { quantityValue } from '../../../proto/base/quantity.ts'
import { readYaml, type YamlFault } from '../../../proto/codec/yaml.ts'
import type { FaultType } from '../faults/contract.ts'
import type { Named } from '../faults/values.ts'
import { CONTROLLER_COUNTS, controllerSlots, MAX_NODES, nodeSlot, REGISTRY_SLOT } from '../layout.ts'
import { readManifests, type Library } from './parse-manifest.ts'
import { readSteps, type StepScope } from './parse-step.ts'
import type { RigSection, Scenario, Step } from './scenario.ts'
import { Problems, YamlNode, type Fields } from './yaml-node.ts'

export interface ParseOptions {
  readonly faults: readonly FaultType[]
  /** Machines of the rig that it is to run on, in place of what it asks for. */
  readonly machines?: readonly Named[] | undefined
  readonly library: Library
}

const KEYS = ['name', 'rig', 'namespace', 'images', 'manifests', 'steps'] as const

const DEFAULT_RIG: RigSection = { nodes: 3, controllers: 1 }

/** The scenario in a file; a LocatedFailure with every problem. InvalidArgument if the file cannot be read. */
export function readScenario(
  file: string,
  options: Omit<ParseOptions, 'library'> & { readonly cwd: string },
): Scenario {
  const path = resolve(options.cwd, file)
  const read = (name: string): string => readFileSync(name, 'utf8')
  let text: string
  try {
    text = read(path)
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new GantryError(
      'InvalidArgument',
      missing ? `there is no file ${file}` : `cannot read ${file}: ${(cause as Error).message}`,
      { cause },
    )
  }
  return parseScenario(text, file, { ...options, library: { directory: dirname(path), read, exists: existsSync } })
}

/** The scenario in a text. `file` names it in messages. */
export function parseScenario(text: string, file: string, options: ParseOptions): Scenario {
  const problems = new Problems()
  const [yaml, second] = readYaml(text)
  if (yaml === undefined) problems.add(file, { line: 1, column: 1 }, '', 'is empty; a scenario has at least "steps"')
  if (second !== undefined)
    problems.add(
      file,
      second.at(''),
      '',
      'a second document: a file holds one scenario',
      'put it into a file of its own',
    )
  for (const fault of firstOfSyntax(yaml?.faults ?? []))
    problems.add(file, fault.position, fault.path, fault.message, fault.remedy)
  const sound = yaml !== undefined && yaml.faults.length === 0
  const scenario = sound
    ? readTop(new YamlNode({ name: file, yaml, problems }, '', yaml.value), file, options)
    : undefined
  problems.throwIfAny()
  return scenario!
}

/** What a parser says after its first error of syntax follows from that. */
function firstOfSyntax(faults: readonly YamlFault[]): readonly YamlFault[] {
  const syntax = faults.find(({ path }) => path === '')
  return syntax === undefined ? faults : [syntax]
}

function readTop(slot: YamlNode, file: string, { faults, machines, library }: ParseOptions): Scenario | undefined {
  const fields = slot.fields(KEYS, 'a scenario')
  if (fields === undefined) return undefined
  const rig = readRig(fields.get('rig'))
  const namespace = fields.get('namespace')?.read(namespaceName) ?? 'default'
  const scope: StepScope = {
    namespace,
    machines: machines ?? machinesOf(rig),
    remembered: new Set(),
    healable: new Set(),
    faults,
    library,
  }
  const images = (fields.get('images')?.itemsOrSelf() ?? []).flatMap((item) => readImage(item, library) ?? [])
  const first = readFirst(fields, scope)
  const steps = fields.need('steps', 'what is done')
  return {
    name: fields.get('name')?.text() ?? basename(file).replace(/\.(ya?ml|json)$/, ''),
    file,
    rig,
    namespace,
    images,
    steps: [...first, ...(steps === undefined ? [] : readSteps(steps, scope))],
  }
}

/**
 * An archive or layout by its path, which begins with a dot or a slash or ends as archives do; else an image's name.
 */
function readImage(slot: YamlNode, { directory, exists }: Library): string | undefined {
  const text = slot.text()
  if (text === undefined || !/^[./]|\.(tar|tgz|tar\.\w+)$/.test(text)) return text
  const path = resolve(directory, text)
  return exists(path) ? path : slot.refuse(`there is no file ${text} in ${directory}`)
}

/** `manifests` are applied before the first step. */
function readFirst(fields: Fields<(typeof KEYS)[number]>, scope: StepScope): Step[] {
  const slot = fields.get('manifests')
  return slot === undefined
    ? []
    : [
        {
          number: '0',
          label: 'apply manifests',
          position: slot.position,
          within: undefined,
          action: { is: 'apply', objects: readManifests(slot, scope, scope.library) },
        },
      ]
}

function namespaceName(name: string): string {
  const flaw = formats.dnsLabel(name)
  if (flaw !== undefined)
    throw new GantryError('InvalidArgument', `"${name}" ${flaw.message}`, { details: [{ remedy: flaw.remedy }] })
  return name
}

function readRig(slot: YamlNode | undefined): RigSection {
  const fields = slot?.fields(['nodes', 'controllers', 'driver', 'disk', 'memory', 'cpus'], 'a rig')
  if (fields === undefined) return DEFAULT_RIG
  const driver = fields.get('driver')?.choice(['namespaces', 'docker'])
  const diskBytes = fields.get('disk')?.read(quantityValue)
  const memoryBytes = fields.get('memory')?.read(quantityValue)
  const cpus = fields.get('cpus')?.integer(1)
  return {
    nodes: fields.get('nodes')?.integer(1, MAX_NODES) ?? DEFAULT_RIG.nodes,
    controllers: readControllers(fields.get('controllers')),
    ...(driver === undefined ? {} : { driver }),
    ...(diskBytes === undefined ? {} : { diskBytes }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpus === undefined ? {} : { cpus }),
  }
}

function readControllers(slot: YamlNode | undefined): number {
  const count = slot?.integer(1)
  if (count === undefined) return DEFAULT_RIG.controllers
  if (!CONTROLLER_COUNTS.includes(count))
    slot!.refuse(`${count} is not a number of controllers`, {
      remedy: `it is one of ${CONTROLLER_COUNTS.join(', ')}, so that a majority decides`,
    })
  return count
}

/** The machines that a rig of this section has. */
function machinesOf({ nodes, controllers }: RigSection): Named[] {
  return [...controllerSlots(controllers), ...Array.from({ length: nodes }, (_, at) => nodeSlot(at + 1)), REGISTRY_SLOT]
}
