import assert from 'node:assert/strict'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, readdir, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { forwardConnection } from '../../agent/streams/forward.ts'
import { DetachKeys } from '../../cli/terminal.ts'
import { ArchiveWriter, readArchive } from '../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { CopyInput, CopyStart, PortForwardStart } from '../../proto/gen/types.ts'
import { eventually } from '../eventually.ts'
import { Console, type Running } from './console.ts'
import { deployment, pod } from './objects.ts'

/** A program in a "pod". */
async function listening(server: Server | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve))
  return (server.address() as AddressInfo).port
}

async function everything(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8').iterator({ destroyOnReturn: false })) text += chunk as string
  return text
}

describe('streams on the command line', () => {
  let console: Console
  const servers: (Server | HttpServer)[] = []
  const asked: PortForwardStart[] = []
  let running: Running | undefined

  beforeEach(async () => {
    console = await new Console().open()
    asked.length = 0
  })

  afterEach(async () => {
    running?.interrupt()
    await running?.result
    running = undefined
    for (const server of servers.splice(0)) server.close()
    await console.close()
  })

  /** What listens on a port of every pod. */
  async function inPod(server: Server | HttpServer): Promise<void> {
    servers.push(server)
    const port = await listening(server)
    console.server.nodes.onPortForward = async function* (start, inputs, signal) {
      asked.push(start)
      if (start.port === 9) throw new GantryError('FailedPrecondition', 'connection refused: nothing listens on port 9')
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
      await new Promise<void>((resolve) => socket.once('connect', resolve))
      yield* forwardConnection(socket, inputs, signal)
    }
  }

  /** Runs it until it listens; the local ports, in the order asked for. */
  async function forward(line: string): Promise<number[]> {
    const count = line
      .split(' ')
      .slice(2)
      .filter((word) => !word.startsWith('--')).length
    running = console.start(line.split(' '))
    const lines = (text: string): RegExpMatchArray[] => [
      ...text.matchAll(/^Forwarding from 127\.0\.0\.1:(\d+) -> \d+$/gm),
    ]
    await Promise.race([
      running.until((text) => lines(text).length >= count),
      running.result.then(({ stderr }) => assert.fail(stderr)),
    ])
    return lines(running.stdout()).map(([, port]) => Number(port))
  }

  describe('gantry port-forward', () => {
    it('passes both directions on to their ends, each for itself', async () => {
      await console.server.put(pod('web'))
      // Answers only when all of the question is there, and then ends.
      await inPod(
        createServer(
          { allowHalfOpen: true },
          (socket) => void everything(socket).then((text) => socket.end(`got ${text.length}`)),
        ),
      )
      const [port] = await forward('port-forward web :80')
      const socket = connect({ host: '127.0.0.1', port: port!, allowHalfOpen: true })
      socket.end('x'.repeat(1_000_000))
      assert.equal(await everything(socket), 'got 1000000')
      await running!.until((text) => text.includes(`Handling connection for ${port}`))
      assert.deepEqual(
        asked.map(({ namespace, pod: name, uid, port: at }) => [namespace, name, uid, at]),
        [['default', 'web', console.server.get('Pod', 'web')!.metadata.uid, 80]],
      )
    })

    it('keeps fifty connections apart', async () => {
      await console.server.put(pod('web'))
      await inPod(createServer((socket) => socket.pipe(socket)))
      const [port] = await forward('port-forward pod/web :80')
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => {
          const socket = connect({ host: '127.0.0.1', port: port! })
          socket.end(`client ${at}`)
          return everything(socket)
        }),
      )
      assert.deepEqual(
        answers,
        Array.from({ length: 50 }, (_, at) => `client ${at}`),
      )
    })

    it('says what fails for one connection and goes on', async () => {
      await console.server.put(pod('web'))
      await inPod(createServer((socket) => socket.end('fine')))
      const [broken, whole] = await forward('port-forward web :9 :80')
      await assert.rejects(everything(connect({ host: '127.0.0.1', port: broken! })), /ECONNRESET/)
      assert.equal(await everything(connect({ host: '127.0.0.1', port: whole! })), 'fine')
      running!.interrupt()
      const { exit, stderr } = await running!.result
      assert.deepEqual(
        [exit, stderr],
        [130, `an error occurred forwarding ${broken} -> 9: connection refused: nothing listens on port 9\n`],
      )
    })

    it('ends when the pod goes, and cuts what is under way', async () => {
      await console.server.put(pod('web'))
      await inPod(createServer((socket) => socket.write('begun')))
      const [port] = await forward('port-forward web :80')
      const socket = connect({ host: '127.0.0.1', port: port! })
      await new Promise((resolve) => socket.once('data', resolve))
      const cut = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve))
      await console.server.remove('Pod', 'web')
      assert.deepEqual(await running!.result, {
        exit: 1,
        stdout: running!.stdout(),
        stderr: 'error: lost connection to pod: web is gone\n',
      })
      assert.equal((await cut).code, 'ECONNRESET')
    })

    it("goes to a ready pod of a Service, by its port's number or name and to the port that it stands for", async () => {
      const ports = [{ name: 'http', containerPort: 8080 }]
      await console.server.put(
        pod('web-0', { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] } }),
      )
      await console.server.put(pod('web-1', { spec: { containers: [{ name: 'main', image: 'b', ports }] } }))
      await console.server.put({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: {
          selector: { app: 'web' },
          ports: [
            { name: 'main', port: 80, targetPort: 'http' },
            { name: 'dns', port: 53, protocol: 'UDP' },
          ],
        },
      })
      await inPod(createServer((socket) => socket.end('fine')))
      const [first, second] = await forward('port-forward svc/web :80 :main')
      for (const port of [first, second])
        assert.equal(await everything(connect({ host: '127.0.0.1', port: port! })), 'fine')
      assert.deepEqual(
        asked.map(({ pod: name, port }) => [name, port]),
        [
          ['web-1', 8080],
          ['web-1', 8080],
        ],
      )
      assert.match(
        (await console.run('port-forward svc/web 81')).stderr,
        /^error: service "web" has no port 81; it has 80 \(main\), 53 \(dns\)$/m,
      )
      assert.match(
        (await console.run('port-forward svc/web :dns')).stderr,
        /^error: port 53 of service "web" is UDP; only TCP is forwarded$/m,
      )
    })

    it('waits for a pod that runs, and says what the pods wait for', async () => {
      await console.server.put(deployment('web'))
      await console.server.put(pod('web-1', { status: { phase: 'Pending' } }))
      const { exit, stderr } = await console.run('port-forward deploy/web :80 --pod-running-timeout 1s')
      assert.deepEqual([exit, stderr], [4, 'error: deploy/web: no pod runs: web-1 is Pending\n'])
      await console.server.put(deployment('none'))
      assert.equal(
        (await console.run('port-forward deploy/none :80 --pod-running-timeout 1s')).stderr,
        'error: deploy/none: no pod runs: there is none with the labels app=none\n',
      )
      await inPod(createServer((socket) => socket.end('fine')))
      const ready = forward('port-forward deploy/web :80')
      await eventually(() => console.server.watching > 0)
      await console.server.put(pod('web-1'))
      assert.equal(await everything(connect({ host: '127.0.0.1', port: (await ready)[0]! })), 'fine')
    })

    for (const [line, message] of [
      ['port-forward', /to which pod\?/],
      ['port-forward web', /which ports\?/],
      ['port-forward web 0', /"0" in "0" is no port/],
      ['port-forward web 1:2:3', /is not \[LOCAL:\]REMOTE/],
      ['port-forward web 70000', /is no port/],
      ['port-forward web 53/udp', /only TCP/],
      ['port-forward node/n1 80', /a Node has no pods/],
    ] as const) {
      it(`refuses \`${line}\``, async () => {
        const { exit, stderr } = await console.run(line)
        assert.equal(exit, 2)
        assert.match(stderr, message)
      })
    }

    it('names what is wrong with a port that is taken, and a name that is none', async () => {
      await console.server.put(
        pod('web', {
          spec: { containers: [{ name: 'main', image: 'b', ports: [{ name: 'http', containerPort: 80 }] }] },
        }),
      )
      const taken = createServer()
      servers.push(taken)
      const port = await listening(taken)
      assert.match(
        (await console.run(`port-forward web ${port}:80`)).stderr,
        new RegExp(
          `^error: unable to listen on 127\\.0\\.0\\.1:${port}: another program listens there; choose another`,
        ),
      )
      assert.match(
        (await console.run('port-forward web :grpc')).stderr,
        /^error: pod "web" has no port named "grpc"; it has http$/m,
      )
    })
  })

  describe('gantry attach and run -i', () => {
    it("joins what is typed and what is written, and ends with the container's code", async () => {
      await console.server.put(pod('web'))
      console.server.nodes.onAttach = async function* (start, inputs) {
        assert.deepEqual(
          [start.pod, start.container, start.stdin, start.tty, start.fromStart],
          ['web', 'main', true, false, false],
        )
        for await (const { input } of inputs) {
          if (input?.case === 'stdinClosed') break
          if (input?.case === 'stdin') yield { output: { case: 'stdout', value: input.value } }
        }
        yield { output: { case: 'stderr', value: Buffer.from('over\n') } }
        yield { output: { case: 'exit', value: { code: 7, message: '' } } }
      }
      assert.deepEqual(await console.run('attach -iq web', { stdin: 'hello\n' }), {
        exit: 7,
        stdout: 'hello\n',
        stderr: 'over\n',
      })
    })

    it('lets go of a terminal by ctrl-p ctrl-q, and puts it back', async () => {
      await console.server.put(pod('web'))
      const heard: string[] = []
      let left = false
      console.server.nodes.onAttach = async function* (_, inputs) {
        yield { output: { case: 'stdout', value: Buffer.from('$ ') } }
        for await (const { input } of inputs)
          if (input?.case === 'stdin') heard.push(Buffer.from(input.value).toString())
        left = true
      }
      const raw: boolean[] = []
      const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => void raw.push(on) })
      running = console.start(['attach', '-it', 'web'], { stdin, terminal: true })
      await running.until((text) => text === '$ ')
      stdin.write('ls\r')
      await eventually(() => heard.length > 0)
      stdin.write('\x10')
      stdin.write('\x11')
      const { exit, stderr } = await running.result
      assert.deepEqual([exit, heard, raw], [0, ['ls\r'], [true, false]])
      assert.match(stderr, /Detached; `gantry attach -it web -c main` joins it again\./)
      await eventually(() => left)
    })

    it('finds the keys however they come, and keeps all others', () => {
      fc.assert(
        fc.property(
          fc.array(fc.uint8Array({ maxLength: 6 }).map((bytes) => bytes.map((byte) => [0x10, 0x11, 0x61][byte % 3]!))),
          (pieces) => {
            const whole = Buffer.concat(pieces)
            const at = whole.indexOf(Buffer.from([0x10, 0x11]))
            let found = false
            const keys = new DetachKeys(() => (found = true))
            let sent = Buffer.alloc(0)
            for (const piece of pieces) if (!found) sent = Buffer.concat([sent, keys.filter(Buffer.from(piece))])
            const expected = at >= 0 ? whole.subarray(0, at) : whole.at(-1) === 0x10 ? whole.subarray(0, -1) : whole
            assert.deepEqual([found, [...sent]], [at >= 0, [...expected]])
          },
        ),
      )
    })

    it('runs an image with input, from its first word on', async () => {
      console.server.nodes.onAttach = async function* (start) {
        assert.deepEqual([start.pod, start.stdin, start.fromStart], ['shell', true, true])
        yield { output: { case: 'stdout', value: Buffer.from('hello') } }
        yield { output: { case: 'exit', value: { code: 3, message: '' } } }
      }
      running = console.start('run -i --rm shell --image=busybox -- sh'.split(' '))
      const made = await eventually(() => console.server.get('Pod', 'shell') ?? false)
      assert.ok(made.kind === 'Pod')
      assert.deepEqual([made.spec.containers[0]!.stdin, made.spec.containers[0]!.stdinOnce], [true, true])
      const state = { running: { startedAt: '2026-01-31T12:00:00Z' } }
      await console.server.put({
        ...JSON.parse(JSON.stringify(made)),
        status: {
          phase: 'Running',
          containerStatuses: [{ name: 'shell', ready: true, restartCount: 0, image: '', imageID: '', state }],
        },
      })
      assert.deepEqual(await running.result, { exit: 3, stdout: 'hellopod "shell" deleted\n', stderr: '' })
    })
  })

  describe('gantry cp', () => {
    /** Archives put into the pod, as lists of entries. */
    const arrived: { start: CopyStart; entries: [string, string, string][] }[] = []
    const end = { output: { case: 'end' as const, value: { files: 1, bytes: 1, warnings: [] } } }

    beforeEach(() => {
      arrived.length = 0
      console.server.nodes.onCopy = async function* (start, inputs) {
        const entries: [string, string, string][] = []
        await readArchive(pieces(inputs), async ({ components, type, mode, target }, content) => {
          let text = target
          for await (const chunk of content) text += Buffer.from(chunk).toString()
          entries.push([components.join('/'), type === 'symlink' ? type : `${type} ${mode.toString(8)}`, text])
        })
        arrived.push({ start, entries })
        yield end
      }
    })

    async function* pieces(inputs: AsyncIterable<CopyInput>): AsyncGenerator<Uint8Array> {
      for await (const { input } of inputs) {
        if (input?.case === 'archive') yield input.value
        if (input?.case === 'end') return
      }
      throw new GantryError('Unavailable', 'cut off')
    }

    /** The pod sends what `write` puts into the archive. */
    function sends(write: (archive: ArchiveWriter) => Promise<void>, whole = true): void {
      console.server.nodes.onCopy = async function* () {
        const archive = new ArchiveWriter()
        const writing = write(archive).then(() => archive.finish())
        for await (const value of archive.pieces()) yield { output: { case: 'archive', value } }
        await writing
        if (whole) yield end
      }
    }

    const facts = (
      name: string,
      mode = 0o644,
    ): { components: string[]; mode: number; uid: number; gid: number; mtime: Date } => ({
      components: name === '' ? [] : name.split('/'),
      mode,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
    })
    const file = (archive: ArchiveWriter, name: string, text: string, mode = 0o644): Promise<unknown> => {
      let left = Buffer.from(text)
      return archive.addFile(facts(name, mode), left.length, async (buffer) => {
        const count = left.copy(buffer)
        left = left.subarray(count)
        return count
      })
    }
    const here = (name: string): string => path.join(console.directory, name)

    it('sends a directory with modes and links, to be put into one that is there', async () => {
      await mkdir(here('d/sub'), { recursive: true })
      await writeFile(here('d/sub/run'), 'text')
      await chmod(here('d/sub/run'), 0o750)
      await symlink('sub/run', here('d/link'))
      assert.deepEqual(await console.run('cp d shop/web:/srv -c main --no-preserve'), {
        exit: 0,
        stdout: '',
        stderr: '',
      })
      const { start, entries } = arrived[0]!
      assert.deepEqual(
        [start.namespace, start.pod, start.container, start.path, start.into, start.name, start.noPreserve],
        ['shop', 'web', 'main', '/srv', true, 'd', true],
      )
      assert.deepEqual(entries, [
        ['', 'directory 755', ''],
        ['link', 'symlink', 'sub/run'],
        ['sub', 'directory 755', ''],
        ['sub/run', 'file 750', 'text'],
      ])
    })

    it('brings back whatever it is given: names, contents and modes', async () => {
      const name = fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
        .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && Buffer.byteLength(text) < 200)
      let count = 0
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(name, { minLength: 1, maxLength: 5, selector: (text) => text.normalize() }),
          fc.string({ maxLength: 2_000 }),
          fc.constantFrom(0o644, 0o600, 0o755, 0o444),
          async (names, text, mode) => {
            sends(async (archive) => {
              await archive.add(facts('', 0o755), 'directory')
              for (const one of names) await file(archive, one, text, mode)
            })
            const to = `out${++count}`
            assert.deepEqual(await console.run(['cp', 'web:/data', to]), { exit: 0, stdout: '', stderr: '' })
            assert.deepEqual((await readdir(here(to))).sort(), [...names].sort())
            for (const one of names) {
              assert.equal(await readFile(path.join(here(to), one), 'utf8'), text)
              assert.equal((await stat(path.join(here(to), one))).mode & 0o777, mode)
            }
          },
        ),
        { numRuns: 15 },
      )
    })

    it('puts a file into a directory that is there under its name, else under the name given', async () => {
      sends(async (archive) => void (await file(archive, '', 'text')))
      await mkdir(here('there'))
      for (const to of ['there', 'new']) assert.equal((await console.run(`cp web:/etc/app.conf ${to}`)).exit, 0)
      assert.deepEqual(
        [await readFile(here('there/app.conf'), 'utf8'), await readFile(here('new'), 'utf8')],
        ['text', 'text'],
      )
    })

    it('makes links that stay within what is copied, and no others', async () => {
      sends(async (archive) => {
        await archive.add(facts('', 0o755), 'directory')
        await archive.add(facts('a', 0o755), 'directory')
        for (const [name, target] of [
          ['a/up', '../b'],
          ['in', 'a/x'],
          ['out', '../etc'],
          ['a/out', '../../x'],
          ['abs', '/etc/passwd'],
        ])
          await archive.add(facts(name!), 'symlink', target!)
      })
      const { exit, stderr } = await console.run('cp web:/data out')
      assert.equal(exit, 0)
      assert.deepEqual([await readlink(here('out/a/up')), await readlink(here('out/in'))], ['../b', 'a/x'])
      assert.deepEqual(stderr.split('\n').filter((line) => line !== '').length, 3)
      for (const name of ['out/out', 'out/a/out', 'out/abs'])
        assert.match(stderr, new RegExp(`^warning: skipped the link .*${name} -> `, 'm'))
    })

    for (const name of ['../evil', 'a/../../evil', '/evil', 'a//b', './x']) {
      it(`refuses an archive with the name ${name}`, async () => {
        const { pack } = await import('tar-stream')
        console.server.nodes.onCopy = async function* () {
          const archive = pack()
          archive.entry({ name: '.', type: 'directory' })
          archive.entry({ name: name === './x' ? 'x' : `./${name}` }, 'evil')
          archive.finalize()
          for await (const value of archive as AsyncIterable<Uint8Array>)
            yield { output: { case: 'archive' as const, value } }
          yield end
        }
        const { exit, stderr } = await console.run('cp web:/data out')
        assert.equal(exit, 1)
        assert.match(stderr, /which does not lie below the place copied to; it is refused/)
        assert.deepEqual([existsSync(here('evil')), await readdir(here('out'))], [false, []])
      })
    }

    it('writes nothing through a link: not one of the archive, nor one that was there', async () => {
      await mkdir(here('secret'))
      await mkdir(here('out'))
      await symlink(here('secret'), here('out/b'))
      for (const link of ['a', 'b']) {
        sends(async (archive) => {
          await archive.add(facts('', 0o755), 'directory')
          if (link === 'a') await archive.add(facts('a'), 'symlink', here('secret'))
          await file(archive, `${link}/file`, 'evil')
        })
        const { exit } = await console.run('cp web:/data out')
        assert.notEqual(exit, 0)
        assert.deepEqual(await readdir(here('secret')), [])
      }
    })

    it('leaves no half of a file when it is cut off, and the one before as it was', async () => {
      await writeFile(here('app.log'), 'before')
      const { pack } = await import('tar-stream')
      console.server.nodes.onCopy = async function* () {
        const archive = pack()
        archive.entry({ name: '.', size: 1_000_000 }).write(Buffer.alloc(300_000))
        for await (const value of archive as AsyncIterable<Uint8Array>) {
          yield { output: { case: 'archive' as const, value } }
          throw new GantryError('Unavailable', 'node n1 lost its session')
        }
      }
      const { exit, stderr } = await console.run('cp web:/app.log app.log')
      assert.equal(exit, 4)
      assert.match(stderr, /node n1 lost its session/)
      assert.deepEqual(
        [
          await readFile(here('app.log'), 'utf8'),
          (await readdir(console.directory)).filter((name) => name.includes('part')),
        ],
        ['before', []],
      )
    })

    it('takes no stream for whole that lacks its end', async () => {
      sends(async (archive) => void (await file(archive, '', 'text')), false)
      const { exit, stderr } = await console.run('cp web:/etc/app.conf app.conf')
      assert.equal(exit, 4)
      assert.match(stderr, /cut off before it was complete/)
    })

    it('says what is wrong with its operands and its source', async () => {
      for (const [line, message] of [
        ['cp a', /from where to where/],
        ['cp a b', /one of the two must be POD:PATH/],
        ['cp web:/a web:/b', /must be a path on this machine/],
        ['cp a/b/c:/x y', /is not POD:PATH/],
        ['cp web: y', /no path after the colon/],
      ] as const) {
        const { exit, stderr } = await console.run(line)
        assert.equal(exit, 2)
        assert.match(stderr, message)
      }
      const { exit, stderr } = await console.run('cp nothing-here web:/x')
      assert.equal(exit, 3)
      assert.match(stderr, /^error: \S*\/nothing-here: no such file or directory on this machine/)
    })
  })

  describe('gantry proxy', () => {
    const base = '/api/v1/namespaces/default'
    let origin: string

    beforeEach(async () => {
      await console.server.put(pod('web-1'))
      await console.server.put({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      })
      const server = createHttpServer((request, response) => {
        if (request.url === '/moved') return void response.writeHead(302, { location: '/there' }).end()
        let body = ''
        request.on('data', (chunk: Buffer) => (body += chunk.toString()))
        request.on('end', () =>
          response
            .writeHead(201, { 'x-kind': 'test' })
            .end(`${request.method} ${request.url} ${request.headers['x-forwarded-uri']} ${body}`),
        )
      })
      server.on('upgrade', (_request, socket, head) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
        socket.write(head)
        socket.pipe(socket)
      })
      await inPod(server)
      running = console.start('proxy --port 0'.split(' '))
      await running.until((text) => text.endsWith('\n'))
      origin = `http://${/^Starting to serve on (127\.0\.0\.1:\d+)\n$/.exec(running.stdout())![1]}`
    })

    it('passes requests on to services and pods, with their query and body', async () => {
      const first = await fetch(`${origin}${base}/services/web/proxy/a/b?c=d`, { method: 'POST', body: 'question' })
      assert.deepEqual(
        [first.status, first.headers.get('x-kind'), await first.text()],
        [201, 'test', `POST /a/b?c=d ${base}/services/web/proxy/a/b question`],
      )
      assert.equal(
        await (await fetch(`${origin}${base}/pods/http:web-1:9090/proxy`)).text(),
        `GET / ${base}/pods/http:web-1:9090/proxy/ `,
      )
      assert.deepEqual(
        asked.map(({ pod: name, port }) => [name, port]),
        [
          ['web-1', 8080],
          ['web-1', 9090],
        ],
      )
    })

    it('keeps redirects within itself, and lists what there is', async () => {
      const moved = await fetch(`${origin}${base}/services/web:80/proxy/moved`, { redirect: 'manual' })
      assert.equal(moved.headers.get('location'), `${base}/services/web:80/proxy/there`)
      assert.match(
        await (await fetch(`${origin}/`)).text(),
        /<a href="\/api\/v1\/namespaces\/default\/services\/web:80\/proxy\/">default\/web:80<\/a>/,
      )
    })

    it('joins upgraded connections', async () => {
      const { port } = new URL(origin)
      const socket = connect({ host: '127.0.0.1', port: Number(port) })
      socket.write(
        `GET ${base}/services/web/proxy/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping`,
      )
      let text = ''
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
      await eventually(() => text.endsWith('\r\n\r\nping'))
      assert.match(text, /^HTTP\/1\.1 101 /)
      socket.destroy()
    })

    it('says in its answer what is wrong', async () => {
      for (const [where, status, message] of [
        ['/api/v1/pods', 404, /only \/api\/v1\/namespaces/],
        [`${base}/services/none/proxy/`, 404, /services "none" not found/],
        [`${base}/services/web:81/proxy/`, 400, /no port 81; it has 80/],
        [`${base}/services/ftp:web:80/proxy/`, 400, /is not \[SCHEME:\]NAME\[:PORT\]/],
        [`${base}/pods/web-1:9/proxy/`, 502, /nothing listens on port 9/],
      ] as const) {
        const answer = await fetch(`${origin}${where}`)
        assert.equal(answer.status, status, where)
        assert.match(await answer.text(), message)
      }
    })

    it("takes no request for a name that is not its own: another's page must not reach in", async () => {
      const { port } = new URL(origin)
      const socket = connect({ host: '127.0.0.1', port: Number(port) })
      socket.end(`GET ${base}/services/web/proxy/ HTTP/1.1\r\nHost: evil.example:${port}\r\nConnection: close\r\n\r\n`)
      assert.match(await everything(socket), /^HTTP\/1\.1 403 /)
      assert.deepEqual(asked, [])
    })
  })

  describe('gantry net check', () => {
    const broken = {
      check: 'pod network udp',
      node: 'n2',
      target: 'n3 10.244.3.9:7',
      ok: false,
      message: 'n2 → pod network of n3 10.244.3.9:7, UDP: no answer',
    }

    it('sums up what is well, tells what is broken and where, and fails then', async () => {
      console.server.nodes.checks.push({
        check: 'pod network tcp',
        node: 'n2',
        target: 'n3 10.244.3.9:7',
        ok: true,
        millis: 1.25,
        message: 'echoed',
      })
      assert.deepEqual(await console.run('net check'), {
        exit: 0,
        stdout: 'CHECK             RESULT   SLOWEST\npod network tcp   ok (1)   1.3 ms\n',
        stderr: '',
      })
      console.server.nodes.checks.push(broken)
      const { exit, stdout } = await console.run('net check --node n2,n3 --outward 10.0.0.1:443 --name example.com')
      assert.equal(exit, 1)
      assert.match(stdout, /^pod network udp +1 of 1 broken +-$/m)
      assert.match(stdout, /\n\nn2 → pod network of n3 10\.244\.3\.9:7, UDP: no answer\n$/)
      assert.deepEqual(console.server.nodes.checkRequests.at(-1), {
        nodes: ['n2', 'n3'],
        outward: '10.0.0.1:443',
        name: 'example.com',
      })
    })

    it('gives everything as JSON', async () => {
      console.server.nodes.checks.push(broken)
      const { exit, stdout } = await console.run('net check -o json')
      const told = JSON.parse(stdout) as { ok: boolean; results: { message: string }[] }
      assert.deepEqual([exit, told.ok, told.results.map(({ message }) => message)], [1, false, [broken.message]])
    })
  })
})
