import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import type { ConfigMap, Pod, PodToken } from '../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../fakes.ts'
import { NodeFixture } from './fixture.ts'

const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const AUTHORITY: ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'kube-root-ca.crt', namespace: 'default', uid: 'u-ca', resourceVersion: '1' },
  data: { 'ca.crt': 'the authority' },
}

/** As the API makes pods. */
function account(name: string, more: Partial<Pod['spec']> = {}): Pod {
  const sources = [
    { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] },
    },
  ]
  return makePod(name, {
    volumes: [{ name: 'kube-api-access', projected: { defaultMode: 0o644, sources } }],
    serviceAccountName: 'web',
    containers: [
      makeContainer('main', { volumeMounts: [{ name: 'kube-api-access', mountPath: MOUNT, readOnly: true }] }),
    ],
    ...more,
  })
}

describe('tokens in pods', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  const tokenOf = (pod: Pod, token: string): PodToken => ({
    podUid: pod.metadata.uid,
    audience: '',
    expirationSeconds: 3607,
    token,
  })
  const give = (complete: boolean, set: readonly (Pod | ConfigMap)[], tokens: readonly PodToken[]): void =>
    node.pods.assign({ complete, set, removed: [], tokens })
  const files = async (): Promise<Record<string, string>> => {
    const source = node.specs.at(-1)!.mounts.find(({ destination }) => destination === MOUNT)!.source
    const names = (await readdir(source)).filter((name) => !name.startsWith('..')).sort()
    return Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await readFile(`${source}/${name}`, 'utf8')] as const)),
    )
  }

  it('stand beside authority and namespace, and change without a restart', async () => {
    const pod = account('web')
    give(true, [AUTHORITY, pod], [tokenOf(pod, 'first')])
    await node.phase('web', 'Running')
    assert.deepEqual(await files(), { 'ca.crt': 'the authority', namespace: 'default', token: 'first' })
    give(false, [], [tokenOf(pod, 'second')])
    await until('the token changed', async () => (await files()).token === 'second')
    assert.equal(node.specs.length, 1)
  })

  it('are waited for, and what is waited for is told', async () => {
    const pod = account('web')
    give(true, [AUTHORITY, pod], [])
    await until('the reason is told', () =>
      node.reports.events.some(({ message }) => message?.includes('serviceaccount "web" not found') === true),
    )
    assert.equal(node.specs.length, 0)
    give(false, [], [tokenOf(pod, 'late')])
    await node.phase('web', 'Running')
    assert.equal((await files()).token, 'late')
  })

  it('are those of each pod alone, for whom each volume names', async () => {
    const [one, two] = [account('one'), account('two')]
    const projected = {
      defaultMode: 0o644,
      sources: [{ serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 3607 } }],
    }
    two.spec.volumes!.push({ name: 'vault', projected })
    two.spec.containers[0]!.volumeMounts!.push({ name: 'vault', mountPath: '/vault' })
    give(
      true,
      [AUTHORITY, one, two],
      [tokenOf(one, 'of one'), tokenOf(two, 'of two'), { ...tokenOf(two, 'for the vault'), audience: 'vault' }],
    )
    await node.phase('one', 'Running')
    await node.phase('two', 'Running')
    const tokens = await Promise.all(
      node.specs.flatMap(({ mounts }) =>
        mounts
          .filter(({ destination }) => [MOUNT, '/vault'].includes(destination))
          .map(({ source }) => readFile(`${source}/token`, 'utf8')),
      ),
    )
    assert.deepEqual(tokens.sort(), ['for the vault', 'of one', 'of two'])
  })

  it('of an earlier run of the agent will do to start a container again, while the control plane is away', async () => {
    const pod = account('web')
    give(true, [AUTHORITY, pod], [tokenOf(pod, 'first')])
    await node.phase('web', 'Running')
    await node.restart()
    node.machine.end([...node.machine.containers.values()][0]!, 1)
    await until('another instance runs', () => node.specs.length === 2)
    assert.equal((await files()).token, 'first')
    await node.welcome()
    give(true, [AUTHORITY, pod], [tokenOf(pod, 'second')])
    await until('the token changed', async () => (await files()).token === 'second')
  })

  it('are waited for where the environment has values of the control plane', async () => {
    const pod = account('web')
    pod.spec.containers[0]!.envFrom = [{ configMapRef: { name: 'kube-root-ca.crt' } }]
    give(true, [AUTHORITY, pod], [tokenOf(pod, 'first')])
    await node.phase('web', 'Running')
    await node.restart()
    node.machine.end([...node.machine.containers.values()][0]!, 1)
    await until('it has ended', () => node.status('web').containerStatuses?.[0]?.state?.running === undefined)
    assert.equal(node.specs.length, 1)
    await node.welcome()
    give(true, [AUTHORITY, pod], [tokenOf(pod, 'second')])
    await until('another instance runs', () => node.specs.length === 2)
  })
})
