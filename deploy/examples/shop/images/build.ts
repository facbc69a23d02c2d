/**
 * Makes the shop's images out of the distribution's packages and pushes them to a registry. Used by `npm run shop --
 * REGISTRY` and by the tests, who keep what was made of packages for a while.
 *
 *   packages ──mmdebstrap──▶ layer 1      files of images/NAME ──▶ layer 2
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../../proto/base/clock.ts'
import { run } from '../../../../proto/base/command.ts'
import { buildImage, pushImage, type BuiltImage, type LayerFile } from '../../../image-builder.ts'

const SUITE = 'trixie'
const PATIENCE = 600_000
const LEFT_OUT = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/info/*',
  '/usr/share/locale/*',
  '/usr/share/lintian/*',
  '/usr/lib/*/gconv/*',
  '/usr/share/perl*',
  '/usr/lib/python3*/pydoc_data/*',
  '/usr/lib/python3*/ensurepip/*',
]

/** What a package's maintainer scripts, or those of base-files, would have made. */
const ETC: Record<string, LayerFile> = {
  ...Object.fromEntries(
    ['bin', 'sbin', 'lib', 'lib64'].map((name): [string, LayerFile] => [name, { symlink: `usr/${name}` }]),
  ),
  tmp: { dir: true, mode: 0o1777 },
  data: { dir: true, mode: 0o777 },
  'etc/passwd': {
    content:
      'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\nshop:x:1000:1000:shop:/:/bin/false\n',
  },
  'etc/group': { content: 'root:x:0:\nwww-data:x:33:\nshop:x:1000:\n' },
}

interface Recipe {
  readonly name: string
  readonly packages: readonly string[]
  readonly files: () => Promise<Record<string, LayerFile>>
  readonly config: Readonly<Record<string, unknown>>
}

const RECIPES: readonly Recipe[] = [
  {
    name: 'web',
    packages: ['nginx-light'],
    // nginx opens the log that it was built with before it reads where to write.
    files: () => Promise.resolve({ 'var/log/nginx/error.log': { symlink: '/dev/stderr' } }),
    config: { Entrypoint: ['nginx', '-c', '/etc/shop/nginx.conf', '-g', 'daemon off;'], StopSignal: 'SIGQUIT' },
  },
  {
    name: 'api',
    packages: ['python3-minimal', 'libpython3-stdlib'],
    files: async () => ({ 'srv/api.py': { content: await readFile(join(import.meta.dirname, 'api/api.py')) } }),
    config: { Entrypoint: ['python3', '-u', '/srv/api.py'], Env: ['PYTHONDONTWRITEBYTECODE=1', 'PATH=/usr/bin:/bin'] },
  },
  {
    name: 'redis',
    packages: ['redis-server'],
    files: () => Promise.resolve({}),
    config: {
      Entrypoint: ['redis-server', '--bind', '* -::*', '--protected-mode', 'no', '--dir', '/data', '--save', '60 1'],
      WorkingDir: '/data',
    },
  },
]

/** Milliseconds for which packages that are kept are not asked for again. */
const KEPT_MS = 7 * 24 * 3600_000

export interface BuildOptions {
  readonly progress?: (text: string) => void
  /** Those of the images that are wanted. */
  readonly names?: readonly string[]
  /** A folder in which the layers of packages are kept for a week; undefined: they are made anew. */
  readonly cache?: string
}

interface ShopImage {
  readonly name: string
  readonly image: BuiltImage
}

/** All of them, or those of `names`. */
export async function buildShopImages({
  progress = () => undefined,
  names = RECIPES.map(({ name }) => name),
  cache,
}: BuildOptions = {}): Promise<ShopImage[]> {
  const folder = await mkdtemp(join(cache === undefined ? tmpdir() : await cleared(cache), 'gantry-shop-'))
  try {
    return await Promise.all(
      RECIPES.filter(({ name }) => names.includes(name)).map(async ({ name, packages, files, config }) => {
        const tar = await packageLayer(packages, folder, cache)
        const layers = [{ tar, compression: 'none' as const }, { files: { ...ETC, ...(await files()) } }]
        const image = await buildImage({ layers, config: { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], ...config } })
        progress(`shop/${name}:1.0  ${Math.round(tar.length / 1e6)} MB, of ${packages.join(' and ')}`)
        return { name, image }
      }),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** `registry` as host:port, without TLS. Each image is there as shop/NAME:1.0 afterwards. */
export async function pushShopImages(registry: string, images: readonly ShopImage[]): Promise<void> {
  await Promise.all(
    images.map(({ name, image }) =>
      pushImage(image, { registry, repository: `shop/${name}`, tag: '1.0', insecure: true }),
    ),
  )
}

/**
 * These packages and what they need, extracted: a tar archive. `folder` is on the file system of the cache, so that
 * nobody finds half of one there.
 */
async function packageLayer(packages: readonly string[], folder: string, cache: string | undefined): Promise<Buffer> {
  const args = [
    '--quiet',
    '--variant=extract',
    `--include=${packages.join(',')}`,
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    SUITE,
  ]
  const file = `${createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 16)}.tar`
  const kept = cache === undefined ? undefined : join(cache, file)
  if (kept !== undefined && (await isFresh(kept))) return readFile(kept)
  const making = join(folder, file)
  await run('mmdebstrap', [...args, making], { timeout: PATIENCE })
  const layer = await readFile(making)
  if (kept !== undefined) await rename(making, kept)
  return layer
}

async function isFresh(file: string): Promise<boolean> {
  const age = await stat(file).then(
    ({ mtimeMs }) => systemClock.now() - mtimeMs,
    () => Infinity,
  )
  return age < KEPT_MS
}

/** The folder of a cache, without what has become too old. */
async function cleared(cache: string): Promise<string> {
  await mkdir(cache, { recursive: true })
  for (const name of await readdir(cache))
    if (!(await isFresh(join(cache, name)))) await rm(join(cache, name), { recursive: true, force: true })
  return cache
}
