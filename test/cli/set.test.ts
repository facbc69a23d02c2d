import assert from 'node:assert/strict'
import type { Deployment, JsonObject, Pod } from '../../proto/gen/types.ts'
import { Console } from './console.ts'
import { deployment, pod } from './objects.ts'

const CONTAINERS: JsonObject[] = [
  {
    name: 'web',
    image: 'web:1',
    env: [
      { name: 'COLOR', value: 'red' },
      { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 's', key: 'token' } } },
    ],
    resources: { limits: { cpu: '1', memory: '64Mi' } },
  },
  { name: 'side', image: 'side:1' },
]

describe('gantry set', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
    await console.server.put(
      deployment('shop', {
        spec: {
          template: {
            metadata: { labels: { app: 'shop' } },
            spec: { initContainers: [{ name: 'init', image: 'init:1' }], containers: CONTAINERS },
          },
        },
      }),
    )
  })

  afterEach(() => console.close())

  const template = (): Deployment['spec']['template']['spec'] =>
    console.server.get<Deployment>('Deployment', 'shop')!.spec.template.spec
  const images = (): string[] =>
    [...(template().initContainers ?? []), ...template().containers].map(({ image }) => image ?? '')

  it('sets images by the names of containers, and of all', async () => {
    assert.deepEqual(await console.run('set image deploy/shop web=registry:5000/web:2@sha256:0 init=init:2'), {
      exit: 0,
      stderr: '',
      stdout: 'deployment.apps/shop image updated\n',
    })
    assert.deepEqual(images(), ['init:2', 'registry:5000/web:2@sha256:0', 'side:1'])
    assert.equal(
      (await console.run('set image deployment shop *=one:1')).stdout,
      'deployment.apps/shop image updated\n',
    )
    assert.deepEqual(images(), ['one:1', 'one:1', 'one:1'])
    assert.equal((await console.run('set image deploy/shop *=one:1')).stdout, 'deployment.apps/shop image unchanged\n')
    assert.equal(
      (await console.run('set image deploy/shop web=two:2 --dry-run=server')).stdout,
      'deployment.apps/shop image updated (server dry run)\n',
    )
    assert.deepEqual(images(), ['one:1', 'one:1', 'one:1'])
    await console.server.put(pod('lone'))
    assert.equal((await console.run('set image pod/lone main=busybox:2')).stdout, 'pod/lone image updated\n')
    assert.equal(console.server.get<Pod>('Pod', 'lone')!.spec.containers[0]!.image, 'busybox:2')
  })

  it('sets and removes variables, keeping the others', async () => {
    assert.equal(
      (await console.run('set env deploy/shop -c web COLOR- TOKEN=plain URL=http://a/?b=c')).stdout,
      'deployment.apps/shop env updated\n',
    )
    assert.deepEqual(
      template().containers.map(({ env }) => env?.map(({ name, value, valueFrom }) => [name, value, valueFrom])),
      [
        [
          ['TOKEN', 'plain', undefined],
          ['URL', 'http://a/?b=c', undefined],
        ],
        undefined,
      ],
    )
    assert.equal((await console.run('set env deploy/shop NOWHERE-')).stdout, 'deployment.apps/shop env unchanged\n')
  })

  it('sets resources, keeping those that are not named', async () => {
    assert.equal(
      (await console.run('set resources deploy/shop -c web --limits=memory=128Mi --requests=cpu=100m,memory=32Mi'))
        .stdout,
      'deployment.apps/shop resource requirements updated\n',
    )
    assert.deepEqual(template().containers[0]!.resources, {
      limits: { cpu: '1', memory: '128Mi' },
      requests: { cpu: '100m', memory: '32Mi' },
    })
    assert.equal(
      (await console.run('set resources deploy/shop -c web --limits=memory=128Mi')).stdout,
      'deployment.apps/shop resource requirements unchanged\n',
    )
  })

  it('says what is wrong', async () => {
    for (const [line, exit, stderr] of [
      ['set image deploy/shop wob=a', 1, 'deployment.apps/shop has no container "wob"; did you mean "web"?'],
      [
        'set image deploy/shop database=a',
        1,
        'deployment.apps/shop has no container "database"; it has web, side, init',
      ],
      ['set image deploy/shop', 2, 'which image? Say CONTAINER=IMAGE; the container "*" is every one'],
      ['set image web=a', 2, 'of which workload or pod? Say TYPE/NAME, such as deploy/web'],
      ['set image deploy/shop web=', 2, 'web=: the image is missing'],
      [
        'set image svc/shop web=a',
        2,
        'Service shop: this works on Deployments, ReplicaSets, Pods and ReplicationControllers only',
      ],
      ['set env deploy/shop', 2, 'which variables? Say NAME=VALUE to set one, NAME- to take one away'],
      ['set resources deploy/shop --limits=memory', 2, '"memory" is not NAME=AMOUNT, such as memory=256Mi'],
      ['set imgae deploy/shop web=a', 2, 'unknown command "gantry set imgae"; did you mean "image"?'],
    ] as const)
      assert.deepEqual(await console.run(line), { exit, stdout: '', stderr: `error: ${stderr}\n` }, line)
    assert.deepEqual(images(), ['init:1', 'web:1', 'side:1'])
  })
})
