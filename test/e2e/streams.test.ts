/** port-forward, attach, cp, proxy and net check on a cluster of two nodes. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { Cluster, ROOT } from './cluster.ts'

describe('streams into pods', function () {
  this.timeout(120_000)
  let cluster: Cluster
  let folder: string
  const children: ChildProcess[] = []

  const container = (name: string, command: string, more: object = {}): object => ({
    name,
    image: 'busybox',
    command: ['sh', '-c', command],
    ...more,
  })
  const pod = (name: string, spec: object): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { terminationGracePeriodSeconds: 0, ...spec },
  })

  /** One in the background: what it has written so far, and its end. */
  function begin(args: readonly string[]): { child: ChildProcess; said: () => string; ended: Promise<number | null> } {
    const { file } = cluster.rig.context()
    const child = spawn(process.execPath, [join(ROOT, 'dist/gantry.cjs'), ...args], {
      env: { ...process.env, GANTRY_CONFIG: file, NO_COLOR: '1' },
    })
    children.push(child)
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
    return { child, said: () => text, ended: new Promise((resolve) => child.on('close', resolve)) }
  }

  function ask(port: number, text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
      let answer = ''
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
      socket.on('end', () => resolve(answer))
      socket.on('error', reject)
      socket.end(text)
    })
  }

  before(async () => {
    cluster = await Cluster.start('streams', 2)
    folder = await mkdtemp(join(tmpdir(), 'gantry-e2e-streams-'))
    const items = [
      pod('web', {
        containers: [
          container('main', 'mkdir /w; echo served > /w/index.html; exec httpd -f -p 127.0.0.1:80 -h /w', {
            ports: [{ name: 'http', containerPort: 80 }],
            readinessProbe: { exec: { command: ['wget', '-q', '-O', '-', 'http://127.0.0.1/'] }, periodSeconds: 1 },
          }),
        ],
      }),
      pod('reader', {
        restartPolicy: 'Never',
        containers: [container('main', 'echo begin; cat; echo end; exit 5', { stdin: true, stdinOnce: true })],
      }),
      pod('shell', { containers: [container('main', 'exec sh', { stdin: true, tty: true })] }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 8080, targetPort: 'http' }] },
      },
    ]
    await cluster.ok(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    await Promise.all(['web', 'reader', 'shell'].map((name) => cluster.rig.until(`pod/${name}`, 'Ready')))
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await cluster?.stop()
    if (folder !== undefined) await rm(folder, { recursive: true })
  })

  it("forwards to what listens on a pod's loopback only, several at once, and ends with the pod", async () => {
    await cluster.ok(
      ['apply', '-f', '-'],
      JSON.stringify(
        pod('leaving', {
          containers: [container('main', 'mkdir /w; echo served > /w/index.html; exec httpd -f -p 127.0.0.1:80 -h /w')],
        }),
      ),
    )
    const forward = begin(['port-forward', 'leaving', ':80', '--pod-running-timeout', '30s'])
    const port = await eventually(
      () => Number(/^Forwarding from 127\.0\.0\.1:(\d+) -> 80$/m.exec(forward.said())?.[1] ?? 0) || false,
      40_000,
    )
    await eventually(async () => (await ask(port, 'GET / HTTP/1.0\r\n\r\n')).endsWith('served\n'))
    // This server lets ten wait at most (listen(2)): more at once it would turn away itself.
    const waves = Array.from({ length: 6 }, () => Array.from({ length: 8 }, () => 'GET / HTTP/1.0\r\n\r\n'))
    for (const wave of waves)
      for (const answer of await Promise.all(wave.map((text) => ask(port, text))))
        assert.match(answer, /\r\n\r\nserved\n$/)
    await cluster.ok(['delete', 'pod', 'leaving', '--now'])
    assert.equal(await forward.ended, 1)
    assert.match(forward.said(), /^error: lost connection to pod: leaving is gone$/m)
  })

  it("serves a Service by HTTP at the paths of kubectl's proxy", async () => {
    const proxy = begin(['proxy', '--port', '0'])
    const origin = await eventually(() => /Starting to serve on (\S+)/.exec(proxy.said())?.[1] ?? false)
    const answer = await fetch(`http://${origin}/api/v1/namespaces/default/services/web:8080/proxy/`)
    assert.deepEqual([answer.status, await answer.text()], [200, 'served\n'])
    proxy.child.kill('SIGINT')
    assert.equal(await proxy.ended, 0)
  })

  it("attaches to a container's input once, and ends with its code", async () => {
    const { code, stdout } = await cluster.run(['attach', '-iq', 'reader'], 'through\n')
    assert.deepEqual([code, stdout], [5, 'through\nend\n'])
    assert.equal(await cluster.ok(['logs', 'reader']), 'begin\nthrough\nend\n')
  })

  it('attaches to a terminal, lets go of it, and joins it again', async () => {
    const { file } = cluster.rig.context()
    const line = (...args: string[]): ChildProcess => {
      const command = [process.execPath, join(ROOT, 'dist/gantry.cjs'), ...args].map((word) => `'${word}'`).join(' ')
      const child = spawn(
        'script',
        [
          '--quiet',
          '--return',
          '--flush',
          '--echo',
          'never',
          '--command',
          `stty rows 33 cols 77; exec ${command}`,
          '/dev/null',
        ],
        { env: { ...process.env, SHELL: '/bin/sh', GANTRY_CONFIG: file, NO_COLOR: '1' } },
      )
      children.push(child)
      return child
    }
    for (const number of [1, 2]) {
      const child = line('attach', '-it', 'shell')
      let text = ''
      child.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()))
      const ended = new Promise((resolve) => child.on('close', resolve))
      await eventually(() => text.includes('try pressing enter'))
      child.stdin!.write('stty size; echo $((20 + 3))x\r')
      await eventually(() => text.includes('33 77') && text.includes('23x'))
      child.stdin!.write(number === 1 ? '\x10\x11' : 'exit 9\r')
      assert.equal(await ended, number === 1 ? 0 : 9, text)
    }
  })

  it('copies files and directories both ways as they are', async () => {
    await mkdir(join(folder, 'd/sub'), { recursive: true })
    const large = randomBytes(8 * 1024 * 1024)
    await writeFile(join(folder, 'd/sub/large'), large)
    await writeFile(join(folder, 'd/odd näme \'"$(x)'), 'odd')
    await chmod(join(folder, 'd/odd näme \'"$(x)'), 0o640)
    await symlink('sub/large', join(folder, 'd/link'))
    await cluster.ok(['cp', join(folder, 'd'), 'web:/tmp'])
    assert.match(
      await cluster.ok(['exec', 'web', '--', 'sha256sum', '/tmp/d/link']),
      new RegExp(`^${createHash('sha256').update(large).digest('hex')} `),
    )
    await cluster.ok(['cp', 'default/web:/tmp/d', join(folder, 'back')])
    assert.ok(large.equals(await readFile(join(folder, 'back/sub/large'))))
    assert.deepEqual(
      [await readlink(join(folder, 'back/link')), (await stat(join(folder, 'back/odd näme \'"$(x)'))).mode & 0o777],
      ['sub/large', 0o640],
    )
    await cluster.ok(['exec', 'web', '--', 'ln', '-s', '/../../../../etc/hostname', '/tmp/d/out'])
    const { stderr } = await cluster.run(['cp', 'web:/tmp/d', join(folder, 'again')])
    assert.match(
      stderr,
      /^warning: skipped the link .*\/again\/out -> \/\.\.\/\.\.\/\.\.\/\.\.\/etc\/hostname: it leads out of what is copied$/m,
    )
    const missing = await cluster.run(['cp', 'web:/none', folder])
    assert.deepEqual([missing.code, missing.stderr], [3, 'error: /none: no such file or directory\n'])
  })

  it('checks the network from inside, and finds a node that is cut off', async () => {
    await eventually(async () => (await cluster.run(['net', 'check'])).code === 0, 60_000)
    const told = JSON.parse(await cluster.ok(['net', 'check', '-o', 'json'])) as {
      results: { check: string; node: string; ok: boolean }[]
    }
    for (const check of [
      'pod network tcp',
      'pod network udp',
      'pod network mtu',
      'host to pod',
      'service',
      'name',
      'outward',
    ]) {
      assert.deepEqual(
        told.results.filter((result) => result.check === check && result.ok).map(({ node }) => node),
        ['n1', 'n2'],
        check,
      )
    }
    for (const node of ['n1', 'n2'])
      assert.doesNotMatch(
        await cluster.on(node, ['sh', '-c', 'cat /proc/*/cmdline | tr "\\0" " "']),
        /gantry-netcheck\.cjs/,
      )
    const fault = await cluster.rig.partition(['n1'], ['n2'])
    const { code, stdout } = await cluster.run(['net', 'check'])
    assert.equal(code, 1)
    assert.match(
      stdout,
      /^n1 → pod network of n2 .*, UDP: .*; node addresses do not reach each other either: look at the link between /m,
    )
    await fault.heal()
  })
})
