/** Where objects say of pods what they are to be: a pod itself, and whatever makes pods of a template. */
import { customKinds } from '../../proto/schema/custom/definitions.ts'
import { describeObject, resources } from '../../proto/schema/schema.ts'
import { fieldOf } from '../../proto/schema/shape.ts'
import type { AnyResource, Kind, PodSpec } from '../../proto/gen/types.ts'

/** Where a PodSpec stands in what pods are made of: in the spec, or in a template that stands alone. */
const TEMPLATES = [
  ['spec', 'template', 'spec'],
  ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
  ['template', 'spec'],
] as const

const withPodSpec: ReadonlySet<string> = new Set(
  resources.filter(({ kind }) => kind === 'Pod' || hasTemplate(kind)).map(({ kind }) => kind),
)

/**
 * Whether objects of the kind may hold a PodSpec. A custom kind may: who makes pods of its objects is not known here.
 */
export function mayHavePodSpec(kind: Kind): boolean {
  return withPodSpec.has(kind) || customKinds.get(kind) !== undefined
}

function hasTemplate(kind: string): boolean {
  return TEMPLATES.some((steps) => fieldOf(kind as Kind, steps)?.type === 'PodSpec')
}

/** Of a pod, or of what it makes pods from; undefined for other objects. */
export function podSpecOf(object: AnyResource): PodSpec | undefined {
  return findPodSpec(object)?.spec
}

/** As podSpecOf, with the path of the field in which the spec stands. */
export function findPodSpec(object: AnyResource): { readonly path: string; readonly spec: PodSpec } | undefined {
  if (object.kind === 'Pod') return { path: 'spec', spec: object.spec }
  for (const steps of TEMPLATES) {
    let value: unknown = object
    for (const step of steps)
      value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[step] : undefined
    // Whatever is of another kind, and looks like it, is looked at, too.
    if (typeof value === 'object' && value !== null && Array.isArray((value as { containers?: unknown }).containers))
      return { path: steps.join('.'), spec: value as PodSpec }
  }
  return undefined
}

/**
 * A new object as refusals name it: where the server makes up the name, by what it makes it of, so that each try is
 * refused with the same words.
 */
export function describeNew({ kind, metadata }: AnyResource): string {
  const { generateName = '' } = metadata
  return describeObject({
    kind,
    metadata: { ...metadata, name: generateName === '' ? metadata.name : generateName },
  } as AnyResource)
}
