/** What a rig's registry holds. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md */
import { GantryError } from '../../../proto/base/errors.ts'
import { MANIFEST_TYPES } from '../../../agent/images/registry/manifest.ts'
import { imageName } from './registry-names.ts'

export interface RegistryImage {
  /** As a manifest names it: "busybox:1.37". */
  readonly image: string
  readonly digest: string
  /** Bytes of its config and layers; undefined for one of several platforms. */
  readonly size: number | undefined
}

interface Manifest {
  readonly config?: { readonly size: number }
  readonly layers?: readonly { readonly size: number }[]
}

/** Milliseconds for one answer. */
const PATIENCE = 15_000
/** The most repositories that docker-registry lists at once is 1000. */
const PAGE = 500

/** Every tag of every repository, by name. Unavailable if the registry at host:port does not answer. */
export async function listRegistryImages(registry: string, signal: AbortSignal): Promise<RegistryImage[]> {
  const images = await Promise.all(
    (await repositoriesOf(registry, signal)).map(async (repository) => {
      // A repository whose last tag was deleted stays in the catalogue.
      const tags = (await ask<{ tags?: string[] | null }>(registry, `${repository}/tags/list`, signal)).tags ?? []
      return Promise.all(tags.map((tag) => describe(registry, repository, tag, signal)))
    }),
  )
  return images.flat().sort((a, b) => (a.image < b.image ? -1 : 1))
}

async function repositoriesOf(registry: string, signal: AbortSignal): Promise<string[]> {
  const found: string[] = []
  for (;;) {
    const last = found.at(-1)
    const page =
      (
        await ask<{ repositories?: string[] }>(
          registry,
          `_catalog?n=${PAGE}${last === undefined ? '' : `&last=${encodeURIComponent(last)}`}`,
          signal,
        )
      ).repositories ?? []
    found.push(...page)
    if (page.length < PAGE) return found
  }
}

async function describe(
  registry: string,
  repository: string,
  tag: string,
  signal: AbortSignal,
): Promise<RegistryImage> {
  const response = await send(registry, `${repository}/manifests/${tag}`, signal)
  const { config, layers } = (await response.json()) as Manifest
  const size =
    config === undefined || layers === undefined
      ? undefined
      : [config, ...layers].reduce((sum, blob) => sum + blob.size, 0)
  return { image: imageName(repository, tag), digest: response.headers.get('docker-content-digest') ?? '', size }
}

async function ask<T>(registry: string, path: string, signal: AbortSignal): Promise<T> {
  const response = await send(registry, path, signal)
  // A repository without tags is not found.
  return response.status === 404 ? ({} as T) : ((await response.json()) as T)
}

async function send(registry: string, path: string, signal: AbortSignal): Promise<Response> {
  const url = `http://${registry}/v2/${path}`
  let response: Response
  try {
    response = await fetch(url, {
      headers: { accept: MANIFEST_TYPES.join(', ') },
      signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]),
    })
  } catch (cause) {
    if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
    throw new GantryError(
      'Unavailable',
      `the registry ${registry} does not answer: ${String((cause as Error).cause ?? cause)}`,
      { cause },
    )
  }
  if (response.ok || response.status === 404) return response
  throw new GantryError(
    'Unavailable',
    `the registry ${registry} answers ${path} with ${response.status}: ${(await response.text()).slice(0, 200)}`,
  )
}
