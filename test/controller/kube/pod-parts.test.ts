import assert from 'node:assert/strict'
import { TestApiServer, type Reply } from './test-api-server.ts'

const PODS = '/api/v1/namespaces/default/pods'
const STRATEGIC = 'application/strategic-merge-patch+json'

describe('Kubernetes face: parts of a pod', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const resources = (cpu: string, memory = '64Mi'): object => ({ limits: { cpu, memory }, requests: { cpu, memory } })
  async function pod(name: string, spec: object = {}): Promise<void> {
    const { status, body } = await face.send('POST', PODS, {
      body: {
        metadata: { name },
        spec: { containers: [{ name: 'main', image: 'busybox', resources: resources('1') }], ...spec },
      },
    })
    assert.equal(status, 201, body.toString())
  }
  const patch = (name: string, part: string, spec: object): Promise<Reply> =>
    face.send('PATCH', `${PODS}/${name}/${part}`, { type: STRATEGIC, body: { spec } })
  const refused = (reply: Reply, message: RegExp): void => {
    assert.deepEqual([reply.status, reply.json.reason], [422, 'Invalid'], reply.body.toString())
    assert.match(reply.json.message as string, message)
  }

  describe('ephemeralcontainers', () => {
    const debug = { name: 'debug', image: 'busybox', targetContainerName: 'main', stdin: true, tty: true }

    it('are added to a pod that is there, with defaults, and by nothing else', async () => {
      await pod('a')
      const added = await patch('a', 'ephemeralcontainers', { ephemeralContainers: [debug], activeDeadlineSeconds: 5 })
      assert.equal(added.status, 200, added.body.toString())
      assert.deepEqual(added.json.spec.ephemeralContainers, [
        {
          ...debug,
          resources: {},
          imagePullPolicy: 'Always',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ])
      assert.deepEqual([added.json.spec.activeDeadlineSeconds, added.json.metadata.generation], [undefined, 2])
      assert.ok(
        added.json.metadata.managedFields.some(
          ({ subresource }: { subresource?: string }) => subresource === 'ephemeralcontainers',
        ),
      )
      assert.equal((await face.get(`${PODS}/a/ephemeralcontainers`)).json.spec.ephemeralContainers.length, 1)
      refused(
        await face.send('PATCH', `${PODS}/a`, {
          type: STRATEGIC,
          body: { spec: { ephemeralContainers: [{ name: 'other', image: 'busybox' }] } },
        }),
        /write the subresource ephemeralcontainers/,
      )
      refused(
        await face.send('POST', PODS, {
          body: {
            metadata: { name: 'b' },
            spec: { containers: [{ name: 'main', image: 'busybox' }], ephemeralContainers: [debug] },
          },
        }),
        /cannot be there from the beginning/,
      )
    })

    it('are never changed or taken away', async () => {
      await pod('stays')
      const { json } = await patch('stays', 'ephemeralcontainers', { ephemeralContainers: [debug] })
      for (const [ephemeralContainers, message] of [
        [[], /debug cannot be taken away/],
        [[{ ...debug, image: 'other' }], /spec.ephemeralContainers\[0\]: .*cannot be changed/],
      ] as const) {
        refused(
          await face.send('PUT', `${PODS}/stays/ephemeralcontainers`, {
            body: { ...json, spec: { ...json.spec, ephemeralContainers } },
          }),
          message,
        )
      }
      const more = [...json.spec.ephemeralContainers, { name: 'second', image: 'busybox' }]
      assert.equal(
        (
          await face.send('PUT', `${PODS}/stays/ephemeralcontainers`, {
            body: { ...json, spec: { ...json.spec, ephemeralContainers: more } },
          })
        ).status,
        200,
      )
      const stale = await face.send('PUT', `${PODS}/stays/ephemeralcontainers`, {
        body: { ...json, spec: { ...json.spec, ephemeralContainers: more } },
      })
      assert.deepEqual([stale.status, stale.json.reason], [409, 'Conflict'])
    })

    it('have a name of their own, a target that is there, and neither ports nor probes nor resources', async () => {
      await pod('strict')
      const cases: [object, RegExp][] = [
        [{ ...debug, name: 'main' }, /is the name of another container of the pod/],
        [{ ...debug, targetContainerName: 'nobody' }, /targetContainerName: .*is not a container of this pod/],
        [{ ...debug, image: undefined }, /image/],
        [{ ...debug, volumeMounts: [{ name: 'none', mountPath: '/x' }] }, /is not a volume of this pod/],
      ]
      for (const [container, message] of cases)
        refused(await patch('strict', 'ephemeralcontainers', { ephemeralContainers: [container] }), message)
      for (const extra of [
        { ports: [{ containerPort: 80 }] },
        { livenessProbe: { exec: { command: ['true'] } } },
        { resources: resources('1') },
      ]) {
        const reply = await face.send('PATCH', `${PODS}/strict/ephemeralcontainers?fieldValidation=Strict`, {
          type: STRATEGIC,
          body: { spec: { ephemeralContainers: [{ ...debug, ...extra }] } },
        })
        assert.ok(reply.status >= 400 && reply.status < 500, reply.body.toString())
        assert.match(reply.json.message as string, /ephemeral containers have no/)
      }
    })
  })

  describe('resize', () => {
    it('changes cpu and memory, and nothing else', async () => {
      await pod('r')
      const resized = await patch('r', 'resize', {
        containers: [{ name: 'main', image: 'other', resources: resources('2', '32Mi') }],
      })
      assert.equal(resized.status, 200, resized.body.toString())
      assert.deepEqual(
        [resized.json.spec.containers[0].image, resized.json.spec.containers[0].resources],
        ['busybox', resources('2', '32Mi')],
      )
      assert.equal((await face.get(`${PODS}/r/resize`)).json.metadata.generation, 2)
      refused(
        await face.send('PATCH', `${PODS}/r`, {
          type: STRATEGIC,
          body: { spec: { containers: [{ name: 'main', resources: resources('1') }] } },
        }),
        /write the subresource resize/,
      )
      const unchanged = await patch('r', 'resize', { containers: [{ name: 'main' }] })
      assert.equal(unchanged.json.metadata.generation, 2)
    })

    it('keeps the class of the quality of service, takes nothing away, and leaves other resources alone', async () => {
      const limit = { limits: { cpu: '2', memory: '64Mi' }, requests: { cpu: '1' } }
      await pod('b', {
        containers: [{ name: 'main', image: 'busybox', resources: limit }],
        initContainers: [{ name: 'init', image: 'busybox', resources: resources('1') }],
      })
      const cases: [object, RegExp][] = [
        [
          { containers: [{ name: 'main', resources: { requests: { cpu: '2', memory: '64Mi' } } }] },
          /would make the pod's quality of service Guaranteed/,
        ],
        [
          { containers: [{ name: 'main', resources: { limits: { cpu: null } } }] },
          /resources.limits: .*cpu cannot be taken away/,
        ],
        [
          { containers: [{ name: 'main', resources: { requests: { 'ephemeral-storage': '1Gi' } } }] },
          /only cpu and memory/,
        ],
        [{ containers: [{ name: 'main', resources: { requests: { cpu: '3' } } }] }, /is more than the limit/],
        [{ initContainers: [{ name: 'init', resources: resources('2') }] }, /does not go on running/],
      ]
      for (const [spec, message] of cases) refused(await patch('b', 'resize', spec), message)
    })

    it('refuses a restart where nothing is started again', async () => {
      const resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }]
      const sent = (spec: object): Promise<Reply> =>
        face.send('POST', PODS, {
          body: {
            metadata: { generateName: 'p-' },
            spec: { containers: [{ name: 'main', image: 'busybox', resizePolicy }], ...spec },
          },
        })
      assert.equal((await sent({})).status, 201)
      refused(await sent({ restartPolicy: 'Never' }), /restartPolicy is Never/)
      refused(
        await sent({
          containers: [{ name: 'main', image: 'busybox', resizePolicy: [...resizePolicy, ...resizePolicy] }],
        }),
        /is the second item with resourceName/,
      )
    })

    it('is one of pods', async () => {
      assert.equal((await face.get('/api/v1/namespaces/default/configmaps/x/resize')).status, 404)
    })
  })
})
