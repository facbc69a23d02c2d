/**
 * Images for a first look at a cluster, made from this machine's own busybox, so that no registry outside is needed.
 */
import { readFile } from 'node:fs/promises'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, systemClock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { buildImage, pushImage, type BuiltImage, type LayerFile } from '../image-builder.ts'

const PROGRAM = '/bin/busybox'

const ETC: Record<string, LayerFile> = {
  'etc/passwd': {
    content:
      'root:x:0:0:root:/root:/bin/sh\nwww:x:82:82:www:/www:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  },
  'etc/group': { content: 'root:x:0:\nwww:x:82:\nnobody:x:65534:\n' },
  root: { dir: true, mode: 0o700 },
  tmp: { dir: true, mode: 0o1777 },
  www: { dir: true },
}

const HELLO = `#!/bin/sh
# Serves /www on port 8080 until it is told to stop.
trap 'echo "goodbye from $(hostname)"; exit 0' TERM INT
echo "hello from $(hostname), listening on port 8080"
httpd -f -v -p 8080 -h /www &
wait
`

export async function busyboxLayer(): Promise<Record<string, LayerFile>> {
  const applets = (await run(PROGRAM, ['--list'])).stdout
    .trim()
    .split('\n')
    .filter((name) => name !== 'busybox')
  const links = applets.map((name): [string, LayerFile] => [`bin/${name}`, { symlink: 'busybox' }])
  return { 'bin/busybox': { content: await readFile(PROGRAM), mode: 0o755 }, ...Object.fromEntries(links) }
}

/** Resolves when the registry answers (distribution-spec, end-1: GET /v2/). */
async function awaitRegistry(registry: string, timeout: number, signal: AbortSignal | undefined): Promise<void> {
  const deadline = systemClock.monotonic() + timeout
  for (;;) {
    try {
      if ((await fetch(`http://${registry}/v2/`)).ok) return
    } catch (cause) {
      if (systemClock.monotonic() > deadline)
        throw new GantryError(
          'Unavailable',
          `registry ${registry} does not answer: ${String((cause as Error).cause ?? cause)}`,
          { cause },
        )
    }
    await delay(systemClock, 20, signal)
  }
}

/**
 * Pushes `library/busybox` and `gantry/hello` to a registry that is to stand in for docker.io. Unavailable if it does
 * not answer within 15 s.
 */
export async function pushDemoImages(registry: string, signal?: AbortSignal): Promise<void> {
  await awaitRegistry(registry, 15_000, signal)
  const base = [{ files: await busyboxLayer() }, { files: ETC }]
  const environment = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']
  const busybox = await buildImage({ layers: base, config: { Env: environment, Cmd: ['sh'] } })
  const hello = await buildImage({
    layers: [...base, { files: { 'usr/bin/hello': { content: HELLO, mode: 0o755 } } }],
    config: { Env: environment, Entrypoint: ['/usr/bin/hello'], ExposedPorts: { '8080/tcp': {} } },
  })
  const images: [BuiltImage, string, string][] = [
    [busybox, 'library/busybox', 'latest'],
    [busybox, 'library/busybox', '1.37'],
    [hello, 'gantry/hello', '1.0'],
  ]
  for (const [image, repository, tag] of images) await pushImage(image, { registry, repository, tag, insecure: true })
}
