import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { promisify } from 'node:util'
import { unsupportedCommandHints } from '../../cli/commands/unsupported-commands.ts'
import { commands } from '../../cli/commands/index.ts'
import { VERSION } from '../../proto/base/version.ts'
import { readContexts } from '../../proto/client/context.ts'
import { removeContext, upsertContext } from '../../proto/client/context-changes.ts'
import { freePort } from '../integration/free-port.ts'
import { Console } from './console.ts'
import { node, pod } from './objects.ts'

describe('the program', () => {
  let console: Console

  beforeEach(async () => {
    console = await new Console().open()
  })

  afterEach(() => console.close())

  it('lists its commands, and tells about each', async () => {
    const { exit, stdout } = await console.run('--help')
    assert.equal(exit, 0)
    for (const [name, { hidden, verbatim }] of Object.entries(commands)) {
      if (hidden === true) continue
      assert.match(stdout, new RegExp(`^  ${name} +\\S`, 'm'))
      if (verbatim === true) continue
      const help = await console.run(`${name} --help`)
      assert.equal(help.exit, 0)
      assert.match(help.stdout, new RegExp(`^Usage: gantry ${name} `))
      assert.match(help.stdout, /--namespace <name>/)
    }
    assert.deepEqual(
      [(await console.run([])).stdout, (await console.run('--context test --help')).stdout],
      [stdout, stdout],
    )
    assert.equal((await console.run('help get')).stdout, (await console.run('get -h')).stdout)
  })

  it("keeps each command's summary the same in both places", async () => {
    for (const [name, entry] of Object.entries(commands))
      assert.equal((await entry.load()).summary, entry.summary, name)
  })

  it('takes flags before and after the command, short ones together, and =false', async () => {
    await console.server.put(pod('a'))
    assert.equal((await console.run('-n default get pods -oname')).stdout, 'pod/a\n')
    assert.equal((await console.run('get -n=default pods --no-headers=true -o=name')).stdout, 'pod/a\n')
    assert.equal((await console.run('get pods --no-headers=false')).stdout.split('\n').length, 3)
    assert.equal(
      (await console.run('get pods --no-headers=maybe')).stderr,
      'error: --no-headers is true or false, not "maybe"\n',
    )
    assert.equal(
      (await console.run('scale --replicas=x deploy/a')).stderr,
      'error: --replicas is a whole number, not "x"\n',
    )
    assert.equal(
      (await console.run('wait --for=delete pod/a --timeout=soon')).stderr,
      'error: --timeout: "soon" is not a length of time, such as 30s, 5m or 1h30m\n',
    )
    assert.equal((await console.run('delete pod a --cascade=sideways')).exit, 2)
  })

  it('names the nearest command', async () => {
    assert.deepEqual(await console.run('gte pods'), {
      exit: 2,
      stdout: '',
      stderr: 'error: unknown command "gte"; did you mean "get"?\n',
    })
    assert.deepEqual(await console.run('frobnicate'), {
      exit: 2,
      stdout: '',
      stderr: 'error: unknown command "frobnicate"; `gantry --help` lists the commands\n',
    })
  })

  it('says what to do instead of what others have', async () => {
    for (const name of Object.keys(unsupportedCommandHints)) {
      assert.equal(commands[name], undefined, name)
      assert.deepEqual(await console.run(`${name} a -b`), {
        exit: 2,
        stdout: '',
        stderr: `error: gantry has no command "${name}"; ${unsupportedCommandHints[name]}\n`,
      })
    }
  })

  it('answers its own question in a sentence of its own', async () => {
    assert.equal((await console.run('completion')).stderr, 'error: for which shell? It is bash, zsh, fish\n')
  })

  it('tells of flags what they are without being given', async () => {
    assert.match((await console.run('get --help')).stdout, /--request-timeout <time> [^-]*\(default 15s\)/)
  })

  it('says nothing of its own doings when much goes on at once', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `c${index}`)
    await console.file(
      'many.yaml',
      names.map((name) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`).join('---\n'),
    )
    const args = ['--import', 'tsx', 'cli/main.ts', 'apply', '-f', `${console.directory}/many.yaml`, '--wait']
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
      env: { ...process.env, GANTRY_CONFIG: console.configFile },
    })
    assert.equal(stderr, '')
    assert.equal(stdout, names.map((name) => `configmap/${name} created\n`).join(''))
  })

  it('dies of the signal that interrupts it, for a shell to see', async () => {
    await console.server.put(pod('a'))
    const child = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'get', 'pods', '-w'], {
      env: { ...process.env, GANTRY_CONFIG: console.configFile },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    assert.deepEqual(await ended, [null, 'SIGINT'])
  })

  it('says which controller cannot be reached, and what to do', async () => {
    const address = `127.0.0.1:${await freePort()}`
    const { exit, stderr } = await console.run(`get pods --server ${address}`)
    assert.equal(exit, 4)
    assert.match(
      stderr,
      new RegExp(
        `^error: the controller at ${address} \\(context "test"\\) is unavailable: connect ECONNREFUSED ${address}; check that it runs, or choose another with --context or --server\n$`,
      ),
    )
    await console.server.put(pod('a'))
    assert.equal((await console.run(`get pods -o name --server ${address},${console.address}`)).stdout, 'pod/a\n')
  })

  it('gives up on a server that does not answer', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket.resume()))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    try {
      const { exit } = await console.run(
        `get pods --server 127.0.0.1:${(silent.address() as AddressInfo).port} --request-timeout 100ms`,
      )
      assert.equal(exit, 4)
    } finally {
      silent.close()
      for (const socket of sockets) socket.destroy()
    }
  })

  it('says what to do without a context', async () => {
    const { exit, stderr } = await console.run(`get pods --config ${console.directory}/none.yaml`)
    assert.equal(exit, 1)
    assert.match(stderr, /^error: no cluster is known: .*none\.yaml has no contexts; `npm run up` starts a cluster/)
    assert.match(
      (await console.run('get pods --context tset')).stderr,
      /^error: no context "tset" in .*; did you mean "test"\? `gantry config get-contexts` lists them\n$/,
    )
  })

  it('keeps contexts', async () => {
    assert.equal(
      (await console.run('config set-context lab --server 10.0.0.1:7443 -n shop')).stdout,
      'Context "lab" created.\n',
    )
    assert.equal((await console.run('config get-contexts -o name')).stdout, 'test\nlab\n')
    assert.match(
      (await console.run('config get-contexts')).stdout,
      /^CURRENT +NAME +SERVER +NAMESPACE\n\* +test +127[^\n]+\n +lab +10\.0\.0\.1:7443 +shop\n$/,
    )
    assert.equal((await console.run('config use-context lab')).stdout, 'Switched to context "lab".\n')
    assert.equal((await console.run('config current-context')).stdout, 'lab\n')
    assert.equal((await console.run('config set-context --current -n yard')).stdout, 'Context "lab" modified.\n')
    assert.match(
      (await console.run('config view --minify')).stdout,
      /name: lab\n {4}server:\n {6}- 10\.0\.0\.1:7443\n {4}namespace: yard\ncurrentContext: lab\n/,
    )
    assert.match((await console.run('config delete-context lab')).stdout, /^deleted context lab from /)
    assert.equal((await console.run('config current-context')).exit, 1)
    assert.equal((await console.run('config use-context nope')).exit, 3)
    assert.equal(
      (await console.run('config use')).stderr,
      'error: unknown command "gantry config use"; it is one of get-contexts, current-context, use-context, set-context, delete-context, view\n',
    )
  })

  it('hides keys in config view', async () => {
    await upsertContext(console.configFile, {
      name: 'tls',
      server: ['h:1'],
      ca: '-----BEGIN CERTIFICATE-----\nQQ==\n',
      cert: 'me.crt',
      key: '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n',
    })
    const { stdout } = await console.run('config view')
    assert.match(stdout, /ca: OMITTED\n {4}cert: me\.crt\n {4}key: REDACTED\n/)
    assert.match((await console.run('config view --raw')).stdout, /c2VjcmV0/)
  })

  it('writes the context file for its owner only, whole, and with writers at once', async () => {
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        upsertContext(console.configFile, { name: `c${index}`, server: ['h:1'] }),
      ),
    )
    assert.equal((await stat(console.configFile)).mode & 0o777, 0o600)
    assert.equal((await readContexts(console.configFile)).contexts.length, 9)
    assert.equal(await removeContext(console.configFile, 'c0'), true)
    assert.equal(await removeContext(console.configFile, 'c0'), false)
    await console.file('broken.yaml', 'contexts:\n  - name: a\n    server: nowhere\n')
    await assert.rejects(
      readContexts(`${console.directory}/broken.yaml`),
      /broken\.yaml: contexts\[0\]\.server: a list of host:port is expected/,
    )
    await console.file('broken.yaml', 'contexts: [')
    await assert.rejects(readContexts(`${console.directory}/broken.yaml`), /broken\.yaml:1:1[0-9]: /)
  })

  it('tells versions, kinds and fields', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    assert.equal(
      (await console.run('version')).stdout,
      `Client Version: ${version}\nServer Version: ${VERSION} (c1, leader c1)\n`,
    )
    assert.equal((await console.run('--version')).stdout, (await console.run('version')).stdout)
    assert.deepEqual(Object.keys(JSON.parse((await console.run('version -o json --client')).stdout)), ['clientVersion'])
    assert.match(
      (await console.run('api-resources')).stdout,
      /^NAME +SHORTNAMES +APIVERSION +NAMESPACED +KIND\n[^]*deployments +deploy +apps\/v1 +true +Deployment\n/,
    )
    const cluster = (await console.run('api-resources --namespaced=false -o name')).stdout.split('\n')
    assert.ok(
      [
        'nodes',
        'namespaces',
        'customresourcedefinitions.apiextensions.k8s.io',
        'gatewayclasses.gateway.networking.k8s.io',
      ].every((name) => cluster.includes(name)) && !cluster.includes('pods'),
    )
    const explained = (await console.run('explain deploy.spec.replicas')).stdout
    assert.match(explained, /^GROUP: +apps\nKIND: +Deployment\nVERSION: +v1\n\nFIELD: replicas <integer>\n/)
    assert.match(explained, /Default: 1\./)
    assert.equal(
      (await console.run('explain pod.spec.contaners')).stderr,
      'error: "contaners" is no field of Pod.spec: did you mean containers?\n',
    )
    assert.equal(
      (await console.run('explain deplyments.spec')).stderr,
      'error: no kind is called "deplyments"; did you mean "deployments"?\n',
    )
    assert.match(
      (await console.run('explain pod --recursive')).stdout,
      /\n {4}containers\t<\[\]Container> -required-\n/,
    )
  })

  it('completes commands, flags, kinds, names and values', async () => {
    await console.server.put(pod('web-1'))
    await console.server.put(node('n1'))
    const complete = async (...words: string[]): Promise<string> =>
      (await console.run(['__complete', '--', ...words])).stdout
    assert.equal(await complete('ro'), 'rollout\n')
    assert.equal(await complete('rollout', 're'), 'restart\nresume\n')
    assert.equal(await complete('get', 'p'), 'pods\npodtemplates\n')
    assert.equal(await complete('get', 'pods', ''), 'web-1\n')
    assert.equal(await complete('get', 'pod/'), 'pod/web-1\n')
    assert.equal(await complete('logs', 'we'), 'web-1\n')
    assert.equal(await complete('cordon', ''), 'n1\n')
    assert.equal(await complete('get', 'pods', '--show-l'), '--show-labels\n')
    assert.equal(await complete('get', 'pods', '-n', 'd'), 'default\n')
    assert.equal(await complete('get', 'pods', '--context', ''), 'test\n')
    assert.equal(await complete('run', 'a', '--restart', 'N'), 'Never\n')
    assert.equal(await complete('exec', 'web-1', '--', 'l'), '')
    assert.equal(
      (await console.run(['__complete', '--descriptions', '--', 'cor'])).stdout,
      'cordon\tkeep new pods off nodes\n',
    )
    for (const shell of ['bash', 'zsh', 'fish'])
      assert.match((await console.run(`completion ${shell}`)).stdout, /gantry __complete/)
    assert.equal((await console.run('completion tcsh')).exit, 2)
  })

  it('ends with 130 when interrupted', async () => {
    await console.server.put(pod('a', { status: { phase: 'Pending' } }))
    const running = console.start(['wait', '--for=condition=Ready', 'pod/a'])
    while (console.server.watching === 0) await new Promise((resolve) => setImmediate(resolve))
    running.interrupt()
    assert.deepEqual(await running.result, { exit: 130, stdout: '', stderr: '' })
  })
})
