import assert from 'node:assert/strict'
import type { JsonObject } from '../../proto/gen/types.ts'
import { PassThrough } from 'node:stream'
import { Console } from './console.ts'
import { deployment, pod } from './objects.ts'

describe('commands for pods', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  describe('gantry logs', () => {
    const two = {
      spec: {
        containers: [
          { name: 'main', image: 'a' },
          { name: 'side', image: 'b' },
        ],
      },
    }

    it("shows the log of a pod's container", async () => {
      await console.server.put(pod('a'))
      console.server.nodes.lines.set('a/main', ['2026-01-31T11:55:01.000000001Z one', '2026-01-31T11:55:02Z two'])
      assert.deepEqual(await console.run('logs a'), { exit: 0, stdout: 'one\ntwo\n', stderr: '' })
      assert.equal(
        (await console.run('logs a --tail 1 --timestamps --prefix')).stdout,
        '[pod/a/main] 2026-01-31T11:55:02Z two\n',
      )
    })

    it('hands on what was asked for', async () => {
      await console.server.put(pod('a'))
      console.server.nodes.lines.set('a/main', [])
      await console.run('logs pod/a -p --since 90s --limit-bytes 10')
      await console.run('logs a --since-time 2026-01-31T11:00:00Z -f --tail=-1')
      const [first, second] = console.server.nodes.logRequests
      assert.deepEqual(
        [first!.previous, first!.sinceSeconds, first!.limitBytes, first!.tailLines, first!.follow],
        [true, 90, 10, undefined, false],
      )
      assert.deepEqual(
        [second!.previous, second!.sinceTime, second!.tailLines, second!.follow],
        [false, '2026-01-31T11:00:00Z', undefined, true],
      )
    })

    it('says which container it took, and takes the one named', async () => {
      await console.server.put(pod('a', two))
      console.server.nodes.lines.set('a/main', ['t m'])
      console.server.nodes.lines.set('a/side', ['t s'])
      assert.deepEqual(await console.run('logs a'), {
        exit: 0,
        stdout: 'm\n',
        stderr: 'Defaulted container "main" out of: main, side\n',
      })
      assert.equal((await console.run('logs a -c side')).stdout, 's\n')
      assert.equal((await console.run('logs a side')).stdout, 's\n')
      assert.equal((await console.run('logs a --all-containers')).stdout, 'm\ns\n')
      assert.deepEqual(await console.run('logs a -c nope'), {
        exit: 1,
        stdout: '',
        stderr: 'error: pod "a" has no container "nope"; it has main, side\n',
      })
    })

    it('merges the pods of a workload by time', async () => {
      await console.server.put(deployment('web'))
      await console.server.put(pod('web-1'))
      await console.server.put(pod('web-2'))
      console.server.nodes.lines.set('web-1/main', ['2026-01-31T11:55:01.5Z first', '2026-01-31T11:55:03Z third'])
      console.server.nodes.lines.set('web-2/main', ['2026-01-31T11:55:01.75Z second', '2026-01-31T11:55:04Z fourth'])
      assert.equal((await console.run('logs deploy/web')).stdout, 'first\nsecond\nthird\nfourth\n')
      assert.equal(
        (await console.run('logs -l app=web --prefix --tail 1')).stdout,
        '[pod/web-1/main] third\n[pod/web-2/main] fourth\n',
      )
    })

    it("names the container it took of a workload's pods once", async () => {
      await console.server.put(deployment('web'))
      for (const name of ['web-1', 'web-2']) {
        await console.server.put(pod(name, two))
        console.server.nodes.lines.set(`${name}/main`, ['2026-01-31T11:55:01Z here'])
      }
      assert.deepEqual(await console.run('logs deploy/web'), {
        exit: 0,
        stdout: 'here\nhere\n',
        stderr: 'Defaulted container "main" out of: main, side\n',
      })
    })

    it('counts what is shown towards the limit, not the times it merges by', async () => {
      for (const name of ['web-1', 'web-2']) {
        await console.server.put(pod(name))
        console.server.nodes.lines.set(`${name}/main`, [
          '2026-01-31T11:55:01Z one',
          '2026-01-31T11:55:02Z second',
          '2026-01-31T11:55:03Z never',
        ])
      }
      assert.equal((await console.run('logs -l app=web --limit-bytes 7')).stdout, 'one\none\nsec\nsec\n')
      assert.deepEqual(
        console.server.nodes.logRequests.map(({ limitBytes }) => limitBytes),
        [undefined, undefined],
      )
    })

    it('says what a container without a log waits for', async () => {
      await console.server.put(
        pod('a', {
          status: {
            containerStatuses: [
              { name: 'main', state: { waiting: { reason: 'ImagePullBackOff', message: 'there is no such image' } } },
            ],
          },
        }),
      )
      assert.deepEqual(await console.run('logs a'), {
        exit: 1,
        stdout: '',
        stderr: 'error: container main of pod a has not started: ImagePullBackOff: there is no such image\n',
      })
    })

    it('shows what it can and tells what it cannot', async () => {
      await console.server.put(pod('web-1'))
      await console.server.put(pod('web-2'))
      console.server.nodes.lines.set('web-1/main', ['2026-01-31T11:55:01Z here'])
      assert.deepEqual(await console.run('logs -l app=web'), {
        exit: 1,
        stdout: 'here\n',
        stderr: 'error: container main of pod web-2 has not started\n',
      })
      assert.equal((await console.run('logs -l app=web --ignore-errors')).exit, 0)
      assert.equal((await console.run('logs nope')).exit, 3)
      assert.equal((await console.run('logs a --since 1m --since-time 2026-01-31T11:00:00Z')).exit, 2)
    })
  })

  describe('gantry exec', () => {
    it('passes output and exit code on', async () => {
      await console.server.put(pod('a'))
      console.server.nodes.onExec = async function* ({ pod: name, container, command, tty }) {
        yield { output: { case: 'stdout', value: Buffer.from(`${name} ${container} ${command.join('|')} ${tty}\n`) } }
        yield { output: { case: 'stderr', value: Buffer.from('careful\n') } }
        yield { output: { case: 'exit', value: { code: 7, message: '' } } }
      }
      assert.deepEqual(await console.run(['exec', 'a', '--', 'sh', '-c', 'exit 7']), {
        exit: 7,
        stdout: 'a main sh|-c|exit 7 false\n',
        stderr: 'careful\n',
      })
    })

    it('says why a command could not start', async () => {
      await console.server.put(pod('a'))
      console.server.nodes.onExec = async function* () {
        yield { output: { case: 'exit', value: { code: 127, message: 'there is no program "nope"' } } }
      }
      assert.deepEqual(await console.run('exec a -- nope'), {
        exit: 127,
        stdout: '',
        stderr: 'error: there is no program "nope"\n',
      })
    })

    it("says where the command stands when its flags are taken for gantry's", async () => {
      assert.deepEqual(await console.run('exec a ls -la'), {
        exit: 2,
        stdout: '',
        stderr: 'error: unknown flag "-la"; the command to run stands after "--", with its flags\n',
      })
    })

    it('passes standard input on to its end', async () => {
      await console.server.put(pod('a'))
      console.server.nodes.onExec = async function* (_, inputs) {
        for await (const { input } of inputs) {
          if (input?.case === 'stdin') yield { output: { case: 'stdout', value: input.value } }
          if (input?.case === 'stdinClosed') break
        }
        yield { output: { case: 'exit', value: { code: 0, message: '' } } }
      }
      assert.deepEqual(await console.run('exec -i a -- cat', { stdin: 'hello\nworld\n' }), {
        exit: 0,
        stdout: 'hello\nworld\n',
        stderr: '',
      })
    })

    it('gives a terminal its size, tells when that changes, and puts it back', async () => {
      await console.server.put(pod('a'))
      const sizes: unknown[] = []
      console.server.nodes.onExec = async function* (start, inputs) {
        sizes.push((start as { size?: unknown }).size)
        yield { output: { case: 'stdout', value: Buffer.from('ready') } }
        for await (const { input } of inputs) {
          if (input?.case !== 'resize') continue
          sizes.push(input.value)
          break
        }
        yield { output: { case: 'exit', value: { code: 0, message: '' } } }
      }
      const raw: boolean[] = []
      const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => void raw.push(on) })
      let resize: (() => void) | undefined
      const running = console.start(['exec', '-it', 'a', '--', 'sh'], {
        stdin,
        terminal: true,
        onResize: (call) => {
          resize = call
          return () => void (resize = undefined)
        },
      })
      await running.until((text) => text === 'ready')
      resize!()
      assert.equal((await running.result).exit, 0)
      assert.deepEqual(sizes, [
        { width: 100, height: 30 },
        { width: 100, height: 30 },
      ])
      assert.deepEqual(raw, [true, false])
      assert.equal(resize, undefined)
    })

    it('chooses a running pod of a workload that stays, ready ones first, and refuses what has ended', async () => {
      await console.server.put(deployment('web'))
      const deletion = { deletionTimestamp: '2026-01-31T11:56:00Z', finalizers: ['gantry.dev/test'] }
      await console.server.put(pod('web-0', { metadata: deletion }))
      await console.server.put(pod('web-1', { status: { phase: 'Pending' } }))
      console.server.nodes.onExec = async function* (start) {
        yield { output: { case: 'stdout', value: Buffer.from(start.pod) } }
        yield { output: { case: 'exit', value: { code: 0, message: '' } } }
      }
      for (const [added, chosen] of [
        [pod('web-2a', { status: { phase: 'Running' } }), 'web-2a'],
        [pod('web-2b'), 'web-2b'],
      ] as const) {
        await console.server.put(added)
        assert.equal((await console.run('exec deploy/web -- true')).stdout, chosen)
      }
      await console.server.put(pod('done', { status: { phase: 'Succeeded' }, labels: {} }))
      assert.deepEqual(await console.run('exec done -- true'), {
        exit: 1,
        stdout: '',
        stderr: 'error: pod "done" has ended (Succeeded); nothing can be run in it\n',
      })
    })

    it('asks for what is missing', async () => {
      assert.deepEqual(await console.run('exec a ls'), {
        exit: 2,
        stdout: '',
        stderr: 'error: "ls" stands before "--"; write `gantry exec a -- ls`\n',
      })
      assert.equal((await console.run('exec a')).exit, 2)
    })
  })

  describe('gantry run', () => {
    it('makes a pod out of flags', async () => {
      assert.equal(
        (await console.run('run web --image=nginx --port=80 --env A=b -- serve now')).stdout,
        'pod/web created\n',
      )
      const { metadata, spec } = console.server.get('Pod', 'web') as import('../../proto/gen/types.ts').Pod
      assert.deepEqual(metadata.labels, { run: 'web' })
      assert.deepEqual(
        [
          spec.containers[0]!.image,
          spec.containers[0]!.args,
          spec.containers[0]!.env,
          spec.containers[0]!.ports![0]!.containerPort,
        ],
        ['nginx', ['serve', 'now'], [{ name: 'A', value: 'b' }], 80],
      )
    })

    it('shows the log until the pod ends, passes its exit code on, and deletes it', async () => {
      console.server.nodes.lines.set('once/once', ['t hello'])
      const running = console.start([
        'run',
        'once',
        '--image=busybox',
        '--restart=Never',
        '--rm',
        '--',
        'echo',
        'hello',
      ])
      const wait = async (): Promise<void> => {
        while (console.server.get('Pod', 'once') === undefined || console.server.watching === 0)
          await new Promise((resolve) => setImmediate(resolve))
      }
      await wait()
      const live = JSON.parse(JSON.stringify(console.server.get('Pod', 'once')))
      const state = { terminated: { exitCode: 3 } }
      await console.server.put({
        ...live,
        status: {
          phase: 'Failed',
          containerStatuses: [{ name: 'once', ready: false, restartCount: 0, image: '', imageID: '', state }],
        },
      })
      assert.deepEqual(await running.result, { exit: 3, stdout: 'hello\npod "once" deleted\n', stderr: '' })
      assert.equal(console.server.get('Pod', 'once'), undefined)
    })

    it('says what is not possible', async () => {
      assert.equal((await console.run('run a')).exit, 2)
    })
  })

  describe('gantry why', () => {
    it('tells the verdict of every node', async () => {
      await console.server.put(pod('web-3'))
      console.server.verdicts.set('web-3', {
        node: '',
        summary: '0 of 2 nodes fit',
        time: '2026-01-31T11:59:30Z',
        verdicts: [
          { node: 'n1', fits: false, plugin: 'Resources', reason: 'cpu 400m short', score: 0 },
          { node: 'n2', fits: true, plugin: '', reason: '', score: 12.345 },
        ],
      })
      assert.equal(
        (await console.run('why pod/web-3')).stdout,
        'pod/web-3 is on no node: 0 of 2 nodes fit\n\nNODE   FITS   BY            REASON\nn1     no     Resources     cpu 400m short\nn2     yes    score 12.35\n\nlooked at 30s ago\n',
      )
      assert.equal(JSON.parse((await console.run('why web-3 -o json')).stdout).verdicts.length, 2)
    })

    it('tells what containers wait for', async () => {
      await console.server.put(
        pod('web-4', {
          status: {
            phase: 'Pending',
            containerStatuses: [
              { name: 'main', state: { waiting: { reason: 'ImagePullBackOff', message: 'no such tag' } } },
              { name: 'side', state: { running: {} } },
            ],
          },
        }),
      )
      console.server.verdicts.set('web-4', { node: 'n1', summary: '', time: '', verdicts: [] })
      assert.equal(
        (await console.run('why web-4')).stdout,
        'pod/web-4 is on node n1\ncontainer main waits: ImagePullBackOff: no such tag\n',
      )
    })

    it('tells of a pod that has ended which finalizer holds it, and so does describe', async () => {
      const status = {
        phase: 'Running',
        containerStatuses: [
          { name: 'main', state: { terminated: { exitCode: 0, finishedAt: '2026-01-31T11:50:10Z' } } },
        ],
      }
      const ending = (grace: number): JsonObject =>
        pod('web-5', {
          status,
          spec: { terminationGracePeriodSeconds: 30 },
          metadata: {
            finalizers: ['example.com/keep'],
            deletionTimestamp: '2026-01-31T11:50:35Z',
            deletionGracePeriodSeconds: grace,
          },
        })
      await console.server.put(ending(30))
      console.server.verdicts.set('web-5', { node: 'n1', summary: '', time: '', verdicts: [] })
      assert.equal((await console.run('why web-5')).stdout, 'pod/web-5 is on node n1\n', 'its processes may run still')
      await console.server.put(ending(0))
      const hold = 'finalizer example.com/keep, since 2026-01-31T11:50:10Z'
      assert.equal(
        (await console.run('why web-5')).stdout,
        `pod/web-5 is on node n1\nit is deleted and has ended, and is held by ${hold}\n`,
      )
      assert.match((await console.run('describe pod web-5')).stdout, new RegExp(`^Held by: +${hold}$`, 'm'))
    })

    it('takes nothing for a pod, but says where one of that name may be', async () => {
      await console.server.put(deployment('web'))
      assert.deepEqual(await console.run('exec web -- ls'), {
        exit: 3,
        stdout: '',
        stderr:
          'error: pods "web" not found in namespace default; there is a deployment of that name: write deploy/web\n',
      })
      assert.match((await console.run('logs nope')).stderr, /; `gantry get pods -A` lists all\n$/)
    })

    it('tells of every pod of a workload', async () => {
      await console.server.put(deployment('web'))
      for (const [name, node] of [
        ['web-1', 'n1'],
        ['web-2', 'n2'],
      ] as const) {
        await console.server.put(pod(name))
        console.server.verdicts.set(name, { node, summary: '', time: '', verdicts: [] })
      }
      assert.equal((await console.run('why deploy/web')).stdout, 'pod/web-1 is on node n1\n\npod/web-2 is on node n2\n')
      assert.deepEqual(
        JSON.parse((await console.run('why deploy/web -o json')).stdout).map(({ node }: { node: string }) => node),
        ['n1', 'n2'],
      )
      assert.equal((await console.run('why nope')).exit, 3)
    })
  })
})
