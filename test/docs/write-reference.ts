/** `npm run docs`: docs/kubernetes.md says again what the server serves. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withReference, type DiscoveredGroup } from './kubernetes-reference.ts'
import { TestApiServer } from '../controller/kube/test-api-server.ts'

export const REFERENCE = join(import.meta.dirname, '..', '..', 'docs', 'kubernetes.md')

/** What a face serves, by its own discovery. */
export async function discover(face: TestApiServer): Promise<DiscoveredGroup[]> {
  const headers = { Accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' }
  const [core, others] = await Promise.all(
    ['/api', '/apis'].map(async (path) => (await face.get(path, { headers })).json as { items: DiscoveredGroup[] }),
  )
  return [...core!.items, ...others!.items]
}

if (process.argv[1] === import.meta.filename) {
  const face = await TestApiServer.start()
  try {
    await writeFile(REFERENCE, withReference(await readFile(REFERENCE, 'utf8'), await discover(face)))
  } finally {
    await face.stop()
  }
}
