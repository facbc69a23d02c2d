/** Images of an OCI image layout. https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md */
import { GantryError } from '../../../proto/base/errors.ts'
import { parseManifest } from '../registry/manifest.ts'
import type { ArchiveFiles, ArchiveContents, Part } from './archive-files.ts'

const LARGEST_INDEX = 4 << 20
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/
/** What an image is called, the fullest first: the second is a tag alone where its maker keeps to the letter. */
const NAMES = ['io.containerd.image.name', 'org.opencontainers.image.ref.name']

export async function readLayoutImages(files: ArchiveFiles): Promise<ArchiveContents> {
  const bytes = await files.read('index.json', LARGEST_INDEX)
  const index = parseManifest(bytes, '', 'index.json')
  if (index.kind !== 'index') throw new GantryError('InvalidArgument', 'index.json of the archive is no index')
  const annotations = (
    JSON.parse(bytes.toString()) as { manifests: { annotations?: Record<string, unknown> }[] }
  ).manifests.map((entry) => entry.annotations ?? {})
  const blobs = new Map<string, Part>()
  for (const path of files.paths()) {
    const hex = BLOB.exec(path)?.[1]
    if (hex !== undefined) blobs.set(`sha256:${hex}`, files.find(path)!)
  }
  return { blobs, images: index.manifests.map(({ digest }, place) => ({ digest, name: nameOf(annotations[place]!) })) }
}

/** Undefined for a tag alone: nothing says of what. */
function nameOf(annotations: Record<string, unknown>): string | undefined {
  const names = NAMES.map((key) => annotations[key]).filter(
    (name): name is string => typeof name === 'string' && name !== '',
  )
  return names.find((name) => /[/:]/.test(name))
}
