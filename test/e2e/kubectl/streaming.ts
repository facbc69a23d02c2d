/** What goes on in pods: logs, exec, attach, cp, port-forward, debug, proxy, top; over WebSocket and over SPDY. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../../eventually.ts'
import { listening } from '../probes.ts'
import { awaitOutput, pod, SPDY, type Kubectl, type Running } from './kubectl.ts'

const PROTOCOLS = [
  ['WebSocket', {}],
  ['SPDY', SPDY],
] as const

export function streaming(root: () => Kubectl): void {
  describe('logs, exec, attach, cp, port-forward', () => {
    let kubectl: Kubectl

    before(async () => {
      kubectl = await root().within('streaming')
      await kubectl.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 81, targetPort: 'http' }] },
      })
      await Promise.all([
        kubectl.ready(
          pod(
            'web',
            'mkdir /w; echo served > /w/index.html; echo one; echo two; echo three >&2; exec httpd -f -p 8080 -h /w',
            { container: { ports: [{ name: 'http', containerPort: 8080 }], ...listening(8080) } },
          ),
          pod('shell', 'exec sh', { container: { stdin: true, tty: true } }),
          pod('two', 'echo from main; exec sleep 1000', {
            spec: {
              initContainers: [{ name: 'init', image: 'busybox', command: ['echo', 'from init'] }],
              containers: ['main', 'side'].map((name) => ({
                name,
                image: 'busybox',
                command: ['sh', '-c', `echo from ${name}; exec sleep 1000`],
              })),
            },
          }),
        ),
        kubectl.apply(pod('crash', 'echo run; exit 3')),
        kubectl
          .ok('create deployment front --image=gantry/hello:1.0 --replicas=2')
          .then(() => kubectl.ok('rollout status deployment/front --timeout=60s')),
      ])
      await eventually(async () => (await kubectl.ok('logs web')).includes('two'))
    })
    after(() => kubectl.leave())

    async function forwarded(run: Running): Promise<number> {
      return Number((await awaitOutput(run, /^Forwarding from 127\.0\.0\.1:(\d+) -> /m))[1])
    }

    it('shows logs: whole, the end, with times, of containers, of a selector, of before', async () => {
      const [whole, tail, times, bytes, init, all, selected, deployment] = await Promise.all([
        kubectl.ok('logs web'),
        kubectl.ok('logs web --tail=1'),
        kubectl.ok('logs web --timestamps --since=1h'),
        kubectl.ok('logs web --limit-bytes=5'),
        kubectl.ok('logs two -c init'),
        kubectl.ok('logs two --all-containers'),
        kubectl.ok('logs -l app=two --prefix -c side'),
        kubectl.ok('logs deployment/front --all-pods=false'),
      ])
      assert.deepEqual(whole.trim().split('\n').sort(), ['one', 'three', 'two'])
      assert.match(tail, /^(two|three)\n$/)
      assert.match(times, /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\S+ (one|two|three)\n){3}$/)
      assert.equal(bytes, whole.slice(0, 5))
      assert.equal(init, 'from init\n')
      // kubectl asks for them in any order.
      assert.deepEqual(all.trim().split('\n').sort(), ['from init', 'from main', 'from side'])
      assert.equal(selected, '[pod/two/side] from side\n')
      assert.match(deployment, /^hello from front-/)
      await eventually(
        async () => (await kubectl.value('pod/crash', '.status.containerStatuses[0].restartCount')) !== '0',
        60_000,
      )
      assert.equal(await kubectl.ok('logs crash --previous'), 'run\n')
      assert.match(await kubectl.refused('logs two -c none'), /container none is not valid for pod two|none/)
    })

    it('follows a log to its end', async () => {
      await kubectl.apply(
        pod('teller', 'for i in 1 2 3; do echo line $i; sleep 0.2; done', { spec: { restartPolicy: 'Never' } }),
      )
      assert.equal(
        await kubectl
          .ok('logs teller -f --pod-running-timeout=60s')
          .catch(() => eventually(() => kubectl.ok('logs teller -f'))),
        'line 1\nline 2\nline 3\n',
      )
    })

    for (const [name, env] of PROTOCOLS) {
      it(`runs commands over ${name}: input, both outputs, exit code, what is not there`, async () => {
        const megabyte = randomBytes(1024 * 1024).toString('base64')
        const [both, large, missing, none] = await Promise.all([
          kubectl.run(['exec', '-i', 'web', '--', 'sh', '-c', 'cat; echo err >&2; exit 7'], {
            stdin: 'through\n',
            env,
          }),
          kubectl.ok('exec -i web -- cat', { stdin: megabyte, env }),
          kubectl.run('exec web -- no-such-command', { env }),
          kubectl.refused('exec nobody -- true', { env }),
        ])
        assert.deepEqual([both.code, both.stdout], [7, 'through\n'])
        assert.match(both.stderr, /^err\ncommand terminated with exit code 7\n$/)
        assert.ok(large === megabyte, 'a megabyte comes back as it went')
        assert.notEqual(missing.code, 0)
        assert.match(missing.stderr, /no-such-command/)
        assert.match(none, /pods "nobody" not found/)
      })

      it(`is a terminal over ${name}: its size, what is typed, its end`, async () => {
        const shell = kubectl.terminal('exec -it web -- sh', env)
        await awaitOutput(shell, /\/ # /)
        shell.process.stdin!.write('stty size; echo $((20 + 3))x\r')
        await awaitOutput(shell, /33 77[^]*23x/)
        shell.process.stdin!.write('exit 9\r')
        assert.equal(await shell.ended, 9)
        assert.match(shell.said(), /command terminated with exit code 9/)
      })

      it(`attaches over ${name}: to the input of a pod, and to a terminal`, async () => {
        const reader = `reader-${name.toLowerCase()}`
        await kubectl.ready(
          pod(reader, 'echo begin; cat; echo end', {
            container: { stdin: true, stdinOnce: true },
            spec: { restartPolicy: 'Never' },
          }),
        )
        assert.match(await kubectl.ok(`attach -i ${reader} --quiet`, { stdin: 'through\n', env }), /through\nend\n$/)
        assert.equal(await kubectl.ok(`logs ${reader}`), 'begin\nthrough\nend\n')
        const shell = kubectl.terminal('attach -it shell', env)
        await awaitOutput(shell, /try pressing enter/)
        shell.process.stdin!.write(`echo ${name}-$((20 + 3))\r`)
        await awaitOutput(shell, new RegExp(`${name}-23`))
        // Its terminal is gone at once, and so kubectl ends: told to end, script(1) would give it two seconds.
        shell.process.kill('SIGKILL')
        await shell.ended
      })

      it(`copies files and folders both ways over ${name}`, async () => {
        const folder = `d-${name}`
        await mkdir(join(kubectl.folder, folder, 'sub'), { recursive: true })
        const large = randomBytes(2 * 1024 * 1024)
        await writeFile(join(kubectl.folder, folder, 'sub/large'), large)
        await chmod(join(kubectl.folder, folder, 'sub/large'), 0o640)
        await kubectl.ok(`cp ${folder} streaming/web:/tmp -c main`, { env })
        await kubectl.ok(`cp web:/tmp/${folder} back-${name}`, { env })
        assert.ok(large.equals(await readFile(join(kubectl.folder, `back-${name}/sub/large`))))
        assert.equal(
          await kubectl.ok(['exec', 'web', '--', 'stat', '-c', '%a %s', `/tmp/${folder}/sub/large`]),
          `640 ${large.length}\n`,
        )
      })

      it(`forwards ports over ${name}: of pods, Services and Deployments, many at once`, async () => {
        const runs = ['pod/web :8080', 'service/web :81', 'deployment/front :8080'].map((what) =>
          kubectl.begin(`port-forward ${what}`, { env, stdin: '' }),
        )
        const [direct, service, deployment] = await Promise.all(runs.map(forwarded))
        const ask = async (port: number): Promise<string> =>
          (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text()
        assert.deepEqual(await Promise.all(Array.from({ length: 8 }, () => ask(direct!))), Array(8).fill('served\n'))
        assert.equal(await ask(service!), 'served\n')
        assert.equal((await fetch(`http://127.0.0.1:${deployment}/`)).status, 404)
        for (const { process } of runs) process.kill('SIGINT')
        await Promise.all(runs.map(({ ended }) => ended))
      })
    }

    it('says why a port cannot be forwarded', async () => {
      const run = kubectl.begin('port-forward web :9999')
      const port = await forwarded(run)
      await assert.rejects(fetch(`http://127.0.0.1:${port}/`))
      await awaitOutput(run, /9999/)
      run.process.kill('SIGINT')
      await run.ended
      assert.match(await kubectl.refused('port-forward service/web :82'), /does not have a service port 82/)
      assert.match(await kubectl.refused('port-forward service/nothing :82'), /services "nothing" not found/)
    })

    it('serves the API, pods and Services on this machine by proxy', async () => {
      const proxy = kubectl.begin('proxy --port=0')
      const [, origin] = await awaitOutput(proxy, /Starting to serve on (\S+)/)
      const [api, throughPod, throughService] = await Promise.all([
        fetch(`http://${origin}/api/v1/namespaces/streaming/pods/web`),
        fetch(`http://${origin}/api/v1/namespaces/streaming/pods/web:8080/proxy/index.html`),
        fetch(`http://${origin}/api/v1/namespaces/streaming/services/web:81/proxy/`),
      ])
      assert.equal(((await api.json()) as { kind: string }).kind, 'Pod')
      assert.deepEqual([await throughPod.text(), await throughService.text()], ['served\n', 'served\n'])
      assert.equal(
        (await fetch(`http://${origin}/api/v1/namespaces/streaming/pods/web/exec?command=id`, { method: 'POST' }))
          .status,
        403,
      )
      proxy.process.kill('SIGINT')
      await proxy.ended
      assert.equal(
        (JSON.parse(await kubectl.ok('get --raw /api/v1/namespaces/streaming/pods/web')) as { kind: string }).kind,
        'Pod',
      )
    })

    it('debugs: inside a pod, in a copy of it, on a node', async () => {
      const [inside, copy, node] = await Promise.all([
        kubectl.ok([
          'debug',
          'web',
          '--image=busybox',
          '--profile=general',
          '-c',
          'looker',
          '--target=main',
          '--quiet',
          '--',
          'sh',
          '-c',
          'ps; sleep 1000',
        ]),
        kubectl.ok([
          'debug',
          'web',
          '--copy-to=web-copy',
          '--container=main',
          '--profile=general',
          '--',
          'sh',
          '-c',
          'echo copied; exec sleep 1000',
        ]),
        kubectl.ok('debug node/n1 --image=busybox --profile=general -- cat /host/etc/hostname'),
      ])
      await eventually(async () => /httpd -f -p 8080/.test(await kubectl.ok('logs web -c looker')), 60_000)
      assert.equal(
        await kubectl.value('pod/web', '.spec.ephemeralContainers[*].targetContainerName'),
        'main',
        inside + copy,
      )
      await eventually(async () => (await kubectl.ok('logs web-copy')) === 'copied\n', 60_000)
      const [, debugger_] = /Creating debugging pod (\S+) with container debugger on node n1/.exec(node) ?? []
      await kubectl.ok(`wait --for=jsonpath={.status.phase}=Succeeded pod/${debugger_} --timeout=60s`)
      await kubectl.ok(`delete pod web-copy ${debugger_} --now`)
    })

    it('tells what nodes, pods and containers use', async () => {
      await eventually(() => kubectl.ok('top pods'), 60_000)
      const [nodes, pods, containers, sorted] = await Promise.all([
        kubectl.ok('top nodes'),
        kubectl.ok('top pods -l app=web'),
        kubectl.ok('top pod two --containers'),
        kubectl.ok('top pods --sort-by=memory --no-headers --sum'),
      ])
      assert.match(
        nodes,
        /^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\) *\nn1 +\d+m +\d+% +\d+Mi +\d+% *\nn2 /,
      )
      assert.match(pods, /^NAME +CPU\(cores\) +MEMORY\(bytes\) *\nweb +\d+m +\d+Mi *\n$/)
      assert.match(containers, /^POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *\ntwo +main +\d+m +\d+Mi *\ntwo +side +/)
      assert.match(sorted, /^ +\d+m +\d+Mi *\n$|\d+m +\d+Mi *\n$/)
    })
  })
}
