/**
 * Makes the shop's images out of the distribution's packages and pushes them to a registry. Used by `npm run shop --
 * REGISTRY` and by the tests.
 *
 *   packages ──mmdebstrap──▶ layer 1      files of images/NAME ──▶ layer 2
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../../proto/base/command.ts'
import { buildImage, pushImage, type LayerFile } from '../../../image-builder.ts'

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

/** `registry` as host:port, without TLS. Each image (or those of `names`) is there as shop/NAME:1.0 afterwards. */
export async function pushShopImages(
  registry: string,
  progress: (text: string) => void = () => undefined,
  names: readonly string[] = RECIPES.map(({ name }) => name),
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-shop-'))
  try {
    await Promise.all(
      RECIPES.filter(({ name }) => names.includes(name)).map(async ({ name, packages, files, config }) => {
        const system = join(folder, `${name}.tar`)
        await run(
          'mmdebstrap',
          [
            '--quiet',
            '--variant=extract',
            `--include=${packages.join(',')}`,
            ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
            SUITE,
            system,
          ],
          { timeout: PATIENCE },
        )
        const layers = [
          { tar: await readFile(system), compression: 'none' as const },
          { files: { ...ETC, ...(await files()) } },
        ]
        const image = await buildImage({ layers, config: { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], ...config } })
        await pushImage(image, { registry, repository: `shop/${name}`, tag: '1.0', insecure: true })
        progress(`shop/${name}:1.0  ${Math.round(layers[0]!.tar!.length / 1e6)} MB, of ${packages.join(' and ')}`)
      }),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
