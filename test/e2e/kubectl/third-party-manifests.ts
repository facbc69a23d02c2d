/**
 * Manifests that others wrote, as they are: accepted, and then they do what they say; or refused for what they name.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { busyboxLayer } from '../../../deploy/rig/demo.ts'
import { buildImage, writeLayout } from '../../../deploy/image-builder.ts'
import { eventually } from '../../eventually.ts'
import type { Kubectl } from './kubectl.ts'

const FOLDER = join(import.meta.dirname, 'manifests')

/** What kubectl says of each object of a file, in order; texts are what it prints, patterns why it refuses. */
type Outcome = readonly (string | RegExp)[]

const unknown = (kind: string): RegExp => new RegExp(`no matches for kind "${kind}"`)

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  'AI--model-serving-tensorflow--deployment.yaml': [
    /strict decoding error: spec\.template\.spec\.volumes\[0\]\.persistentVolumeClaim: Kubernetes has it/,
  ],
  'AI--model-serving-tensorflow--ingress.yaml': ['ingress.networking.k8s.io/tf-serving-ingress created'],
  'AI--model-serving-tensorflow--pv.yaml': [unknown('PersistentVolume')],
  'AI--model-serving-tensorflow--pvc.yaml': [unknown('PersistentVolumeClaim')],
  'AI--model-serving-tensorflow--service.yaml': ['service/tf-serving created'],
  'AI--vllm-deployment--vllm-deployment.yaml': [
    /strict decoding error: .*spec\.template\.spec\.containers\[0\]\.resources\.limits\[ephemeral-storage\]: Kubernetes has it/,
  ],
  'AI--vllm-deployment--vllm-service.yaml': ['service/vllm-service created'],
  'cockroachdb--cockroachdb-statefulset.yaml': [
    'service/cockroachdb-public created',
    'service/cockroachdb created',
    unknown('PodDisruptionBudget'),
    unknown('StatefulSet'),
  ],
  'databases--cassandra--cassandra-service.yaml': ['service/cassandra created'],
  'databases--cassandra--cassandra-statefulset.yaml': [unknown('StatefulSet'), unknown('StorageClass')],
  'selenium--selenium-hub-deployment.yaml': ['deployment.apps/selenium-hub created'],
  'selenium--selenium-hub-svc.yaml': ['service/selenium-hub created'],
  'selenium--selenium-node-chrome-deployment.yaml': ['deployment.apps/selenium-node-chrome created'],
  'storage--minio--minio-distributed-headless-service.yaml': ['service/minio created'],
  'storage--minio--minio-distributed-statefulset.yaml': [unknown('StatefulSet')],
  'web--guestbook--all-in-one--guestbook-all-in-one.yaml': [
    'service/redis-master created',
    'deployment.apps/redis-master created',
    'service/redis-replica created',
    'deployment.apps/redis-replica created',
    'service/frontend created',
    'deployment.apps/frontend created',
  ],
  // The parts of the one before, which are there then.
  'web--guestbook--frontend-deployment.yaml': ['deployment.apps/frontend unchanged'],
  'web--guestbook--frontend-service.yaml': ['service/frontend unchanged'],
  'web--guestbook--redis-master-deployment.yaml': ['deployment.apps/redis-master unchanged'],
  'web--guestbook--redis-master-service.yaml': ['service/redis-master unchanged'],
  // It says what the one before leaves out.
  'web--guestbook--redis-replica-deployment.yaml': ['deployment.apps/redis-replica configured'],
  'web--guestbook--redis-replica-service.yaml': ['service/redis-replica unchanged'],
}

/** Images that nobody can pull here: a stand-in under each name, which answers on the ports of them all. */
const STAND_INS = [
  'registry.k8s.io/redis:e2e',
  'gcr.io/google_samples/gb-redisslave:v1',
  'gcr.io/google-samples/gb-frontend:v5',
  'selenium/hub:4.0',
]
const STAND_IN = [
  'sh',
  '-c',
  'trap "exit 0" TERM; mkdir -p /w/wd/hub; echo served > /w/index.html; echo up > /w/wd/hub/status; for port in 80 4444; do httpd -p $port -h /w; done; httpd -f -p 6379 -h /w & wait',
]

/**
 * Two parts: one applies the manifests, one looks at what has become of them. Some of their pods take half a minute to
 * say that they are ready: other suites can be between the two.
 */
export function thirdPartyManifests(root: () => Kubectl): {
  readonly accepted: () => void
  readonly running: () => void
} {
  let kubectl: Kubectl

  const accepted = (): void => {
    describe('manifests of others', () => {
      before(async () => {
        kubectl = await root().within('others')
        const image = await buildImage({
          layers: [{ files: await busyboxLayer() }],
          config: { Cmd: STAND_IN, Env: ['PATH=/bin:/usr/bin'] },
        })
        const layout = join(kubectl.folder, 'stand-in')
        await writeLayout(image, layout, 'latest')
        for (const name of STAND_INS) await kubectl.cluster.rig.load(layout, { name })
      })

      it('are all looked at', async () => {
        assert.deepEqual(
          (await readdir(FOLDER)).filter((name) => name.endsWith('.yaml')).sort(),
          Object.keys(OUTCOMES).sort(),
        )
      })

      for (const [file, outcome] of Object.entries(OUTCOMES)) {
        it(`${file}: ${outcome.some((part) => part instanceof RegExp) ? 'is refused where it asks for what there is not' : 'is accepted'}`, async () => {
          const { code, stdout, stderr } = await kubectl.run(['apply', '-f', join(FOLDER, file)])
          const done = outcome.filter((part) => typeof part === 'string')
          const refused = outcome.filter((part) => part instanceof RegExp)
          assert.deepEqual(
            stdout.split('\n').filter((line) => line !== ''),
            done,
            stderr,
          )
          assert.equal(code, refused.length === 0 ? 0 : 1, stderr)
          for (const reason of refused) assert.match(stderr, reason)
        })
      }
    })
  }

  const running = (): void => {
    describe('manifests of others, in time', () => {
      after(() => kubectl.leave())

      it('run: every replica is there, and Services lead to them by name and by port of the node', async () => {
        const deployments = ['redis-master', 'redis-replica', 'frontend', 'selenium-hub']
        await Promise.all(deployments.map((name) => kubectl.ok(`rollout status deployment/${name} --timeout=90s`)))
        assert.equal(
          await kubectl.value('deployments', '.items[?(@.metadata.name=="frontend")].status.availableReplicas'),
          '3',
        )
        // Not all of the manifests have probes: what runs may not listen yet.
        const answers = (url: string, text: string): Promise<unknown> =>
          eventually(async () =>
            assert.equal(await kubectl.ok(`exec deployment/frontend -- wget -q -O- -T 5 ${url}`), text),
          )
        await answers('http://redis-master:6379/', 'served\n')
        await answers('http://selenium-hub:4444/wd/hub/status', 'up\n')
        const [address, port] = [
          await kubectl.value('node/n1', '.status.addresses[?(@.type=="InternalIP")].address'),
          await kubectl.value('service/frontend', '.spec.ports[0].nodePort'),
        ]
        await eventually(async () => assert.equal(await (await fetch(`http://${address}:${port}/`)).text(), 'served\n'))
      })

      it('say why they do not: an image that cannot be had', async () => {
        const waiting = '.items[0].status.containerStatuses[0].state.waiting.reason'
        await eventually(
          async () =>
            assert.match(
              await kubectl.ok(['get', 'pods', '-l', 'app=selenium-node-chrome', '-o', `jsonpath={${waiting}}`]),
              /^(ErrImagePull|ImagePullBackOff)$/,
            ),
          30_000,
        )
        assert.match(await kubectl.ok('describe pods -l app=selenium-node-chrome'), /selenium\/node-chrome:4\.0/)
      })
    })
  }

  return { accepted, running }
}
