/**
 * A container's environment, and the expansion of $(NAME) in it, in command and in args.
 * https://kubernetes.io/docs/tasks/inject-data-application/
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container, EnvVar, Pod } from '../../../proto/gen/types.ts'
import type { ConfigSource } from '../../volumes/config-source.ts'
import { fieldValue, resourceValue, type DownwardApiContext } from '../../volumes/downward-api.ts'

const REFERENCE = /\$(?:\$|\(([^)]*)\))/g

/** `$(NAME)` becomes the variable's value, `$$` a single `$`; a name that is not known stays as it is written. */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(REFERENCE, (written, name: string | undefined) =>
    name === undefined ? '$' : (variables.get(name) ?? written),
  )
}

/**
 * A place inside a volume out of an expression. FailedPrecondition: it names a variable that the container does not
 * have, or would lead out of the volume.
 * https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath-expanded-environment
 */
export function expandedSubPath(expression: string, variables: ReadonlyMap<string, string>): string {
  const refuse = (reason: string): never => {
    throw new GantryError('FailedPrecondition', `subPathExpr "${expression}" ${reason}`, {
      details: [{ field: 'subPathExpr', value: expression, message: reason }],
    })
  }
  const path = expression.replace(REFERENCE, (_, name: string | undefined) =>
    name === undefined
      ? '$'
      : (variables.get(name) ?? refuse(`needs the variable ${name}, which the container does not have`)),
  )
  if (path.startsWith('/')) return refuse(`becomes "${path}", which must not be an absolute path`)
  if (path.split('/').includes('..')) return refuse(`becomes "${path}", which must not contain ".."`)
  return path
}

/** NotFound, about something that may appear: the container waits for it. */
function missing(what: string): GantryError {
  return new GantryError('NotFound', `${what} not found`)
}

/**
 * The variables that the pod asks for, in order: those that name Services (`links`), envFrom, then env, each seeing
 * those before it; a later one of the same name wins. NotFound: a ConfigMap, Secret or key that is not optional is not
 * there.
 */
export function environment(
  pod: Pod,
  container: Container,
  objects: ConfigSource,
  place: DownwardApiContext,
  links: ReadonlyMap<string, string> = new Map(),
): Map<string, string> {
  const variables = new Map(links)
  for (const [name, value] of bulkVariables(pod, container, objects)) variables.set(name, value)
  for (const variable of container.env ?? []) {
    const value =
      variable.valueFrom === undefined
        ? expand(variable.value ?? '', variables)
        : referredValue(pod, container, variable, objects, place)
    if (value !== undefined) variables.set(variable.name, value)
  }
  return variables
}

function* bulkVariables(pod: Pod, container: Container, objects: ConfigSource): Generator<[string, string]> {
  const { namespace } = pod.metadata
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const entries: [string, string][] = []
    if (configMapRef !== undefined) {
      const found = objects.configMap(namespace, configMapRef.name ?? '')
      if (found === undefined && configMapRef.optional !== true) throw missing(`configmap "${configMapRef.name ?? ''}"`)
      entries.push(...Object.entries(found?.data ?? {}))
    }
    if (secretRef !== undefined) {
      const found = objects.secret(namespace, secretRef.name ?? '')
      if (found === undefined && secretRef.optional !== true) throw missing(`secret "${secretRef.name ?? ''}"`)
      for (const [key, value] of Object.entries(found?.data ?? {}))
        entries.push([key, Buffer.from(value, 'base64').toString()])
    }
    for (const [key, value] of entries) if (!key.includes('=')) yield [prefix + key, value]
  }
}

/** Undefined: an optional reference to what is not there. */
function referredValue(
  pod: Pod,
  container: Container,
  variable: EnvVar,
  objects: ConfigSource,
  place: DownwardApiContext,
): string | undefined {
  const { namespace } = pod.metadata
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = variable.valueFrom!
  if (fieldRef !== undefined) return fieldValue(pod, fieldRef, place)
  if (resourceFieldRef !== undefined) return resourceValue(pod, resourceFieldRef, container.name, place)
  if (configMapKeyRef !== undefined) {
    const { name = '', key, optional } = configMapKeyRef
    const found = objects.configMap(namespace, name)
    const value = found?.data?.[key]
    if (value === undefined && optional !== true)
      throw missing(found === undefined ? `configmap "${name}"` : `key "${key}" in configmap "${name}"`)
    return value
  }
  if (secretKeyRef !== undefined) {
    const { name = '', key, optional } = secretKeyRef
    const found = objects.secret(namespace, name)
    const value = found?.data?.[key]
    if (value === undefined && optional !== true)
      throw missing(found === undefined ? `secret "${name}"` : `key "${key}" in secret "${name}"`)
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString()
  }
  return ''
}
