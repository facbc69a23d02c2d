/**
 * The official client for Python, of the distribution's package: the tests in python/, each file in one process, in a
 * namespace that they share. All begin at once: one waits for the others' leases, watches and pods, which cost nothing.
 */
import { join } from 'node:path'
import type { Kubectl, KubectlResult } from './kubectl.ts'

const FOLDER = join(import.meta.dirname, '../python')
/** The one that has the distribution's packages. */
const PYTHON = '/usr/bin/python3'

export function clientPython(root: () => Kubectl): void {
  describe('the official client for Python', () => {
    const namespace = 'client-python'
    let kubectl: Kubectl
    let results: ReadonlyMap<string, Promise<KubectlResult>>

    before(async () => {
      kubectl = await root().within(namespace)
      const env = { NAMESPACE: namespace, PYTHONPATH: FOLDER, PYTHONDONTWRITEBYTECODE: '1' }
      results = new Map(
        suites.map(([name]) => [name, kubectl.other(PYTHON, ['-W', 'ignore', '-m', 'unittest', name], { env })]),
      )
    })
    after(() => kubectl.leave())

    const suites: readonly [name: string, what: string][] = [
      ['test_objects', 'creates, reads, lists, replaces, patches and deletes objects, and makes them from YAML'],
      ['test_watches', 'watches, and keeps an informer over a history that is gone'],
      ['test_streams', 'runs commands, follows logs and forwards ports'],
      ['test_kinds', 'works with kinds that it has no types for'],
      ['test_leaders', 'elects leaders by a ConfigMap and by a Lease'],
    ]
    for (const [name, what] of suites) {
      it(what, async () => {
        const { code, stdout, stderr } = await results.get(name)!
        if (code !== 0 || !/^Ran [1-9]\d* tests/m.test(stderr))
          throw new Error(`${name} ended with ${code}\n${stdout}${stderr}`)
      })
    }
  })
}
