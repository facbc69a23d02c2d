/**
 * The image of which machines are made: the distribution's programs below, Gantry on top. Both layers are named by what
 * is in them, so that a change of Gantry's code costs the upper one only, and nothing is built that is there.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { buildTar, type LayerFile } from '../image-builder.ts'
import { hasStatus, type DockerClient } from '../docker-engine.ts'
import { baseSystem } from './base-system.ts'

/** Where Gantry is in the image, laid out as in its package. */
export const HOME = '/opt/gantry'
/** What a person finds by name there. */
const PROGRAMS = ['gantry', 'gantry-agent', 'gantry-controller']
export const REPOSITORY = 'gantry-node'
const BASE = 'gantry-node-system'
/** Milliseconds that an image of other code is kept when nothing runs from it: it may be about to. */
const UNUSED_IMAGE_TTL_MS = 24 * 3600_000

export interface NodeImageOptions {
  /** The checkout, or the installed package. */
  readonly root: string
  readonly progress?: (text: string) => void
  readonly signal?: AbortSignal | undefined
  /** With the newest packages of the distribution. */
  readonly fresh?: boolean
}

/**
 * The image's name in the engine, "gantry-node:0123456789ab", once it is there. FailedPrecondition without Gantry's
 * bundles or mmdebstrap.
 */
export async function ensureNodeImage(
  docker: DockerClient,
  { root, progress = () => undefined, signal, fresh = false }: NodeImageOptions,
): Promise<string> {
  const folder = join(root, 'deploy/node-image')
  const base = await baseSystem({ folder, progress, signal, fresh })
  const files = await gantryFiles(root)
  const dockerfile = await readFile(join(folder, 'Dockerfile'))
  const image = `${REPOSITORY}:${hashOf(base.hash, dockerfile, files)}`
  if (!fresh && (await isThere(docker, image))) return image

  const system = `${BASE}:${base.hash}`
  if (fresh || !(await isThere(docker, system))) {
    const archive = await base.archive()
    progress('node image: system')
    await finish((await docker.importImage(archive, { repo: BASE, tag: base.hash })) as Readable, signal)
  }
  signal?.throwIfAborted()
  progress('node image: Gantry')
  const programs = Object.fromEntries(
    PROGRAMS.map((name): [string, LayerFile] => [
      `usr/local/bin/${name}`,
      { symlink: join(HOME, 'dist', `${name}.cjs`) },
    ]),
  )
  const context = await buildTar({
    Dockerfile: { content: dockerfile },
    ...programs,
    ...Object.fromEntries(Object.entries(files).map(([path, file]) => [join('.', HOME, path), file])),
  })
  await finish(
    (await docker.buildImage(Readable.from([context]), {
      t: image,
      buildargs: { BASE: system },
      forcerm: true,
      networkmode: 'none',
    })) as Readable,
    signal,
  )
  await removeOld(docker, image)
  return image
}

/** What of the package a machine needs: bundles, scripts, examples. */
async function gantryFiles(root: string): Promise<Record<string, LayerFile>> {
  const bundles = (await filesIn(root, 'dist')).filter((path) => /^dist\/gantry[^/]*\.cjs$/.test(path))
  if (!bundles.includes('dist/gantry-agent.cjs'))
    throw new GantryError('FailedPrecondition', `Gantry is not built: ${join(root, 'dist')} has no gantry-agent.cjs`, {
      details: [{ field: 'dist', value: join(root, 'dist'), remedy: 'npm run build' }],
    })
  const rest = (await filesIn(root, 'deploy')).filter((path) => !/\.(ts|md)$|\/node_modules\//.test(path))
  const paths = ['package.json', ...bundles, ...rest].sort()
  return Object.fromEntries(
    await Promise.all(
      paths.map(async (path): Promise<[string, LayerFile]> => {
        const [content, { mode }] = await Promise.all([readFile(join(root, path)), stat(join(root, path))])
        return [path, { content, mode: mode & 0o111 ? 0o755 : 0o644 }]
      }),
    ),
  )
}

async function filesIn(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

function hashOf(base: string, dockerfile: Buffer, files: Readonly<Record<string, LayerFile>>): string {
  const hash = createHash('sha256').update(base).update(dockerfile)
  for (const [path, file] of Object.entries(files))
    if ('content' in file) hash.update(`\0${path}\0${file.mode}\0${file.content.length}\0`).update(file.content)
  return hash.digest('hex').slice(0, 12)
}

async function isThere(docker: DockerClient, image: string): Promise<boolean> {
  try {
    await docker.getImage(image).inspect()
    return true
  } catch (thrown) {
    if (hasStatus(thrown, 404)) return false
    throw thrown
  }
}

/** Reads the engine's progress to its end; the first error in it is thrown. One JSON object a line. */
async function finish(progress: Readable, signal: AbortSignal | undefined): Promise<void> {
  const abort = (): void => void progress.destroy(GantryError.from(signal!.reason, 'Cancelled'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    for await (const line of createInterface({ input: progress })) {
      const { error } = line === '' ? {} : (JSON.parse(line) as { error?: string })
      if (error !== undefined)
        throw new GantryError('Internal', `the Docker engine could not build the node image: ${error}`)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
  signal?.throwIfAborted()
}

/** Removes the images of earlier code that nothing has run from for a day. */
async function removeOld(docker: DockerClient, image: string): Promise<void> {
  const images = await docker.listImages({ filters: { reference: [REPOSITORY, BASE] } })
  const [current] = images.filter(({ RepoTags }) => RepoTags?.includes(image))
  for (const { Id, Created, RepoTags } of images) {
    if (Id === current?.Id || Created * 1000 > systemClock.now() - UNUSED_IMAGE_TTL_MS) continue
    for (const tag of RepoTags ?? []) await removeUnused(docker, tag)
  }
}

/** One that a container, or another image, is made of stays. */
async function removeUnused(docker: DockerClient, tag: string): Promise<void> {
  try {
    await docker.getImage(tag).remove()
  } catch (thrown) {
    if (!hasStatus(thrown, 404, 409)) throw thrown
  }
}
