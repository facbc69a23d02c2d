/**
 * A Docker engine for tests: the one that is there (DOCKER_HOST, /var/run/docker.sock), else the distribution's
 * dockerd, started for as long as tests need it. The started one has process, mount and network namespaces of its own,
 * so that the host's interfaces, firewall and settings stay as they are, and ends with the process that started it.
 *
 *   this process ── gantry-dkN 10.X.255.1 ──veth── 10.X.255.2 dockerd ── its bridges: 10.X.0.0/17, a /24 each
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { ensureNodeImage } from '../deploy/node-image/node-image.ts'
import { openEngine } from '../deploy/docker-engine.ts'
import { run } from '../proto/base/command.ts'
import { readProcess } from '../proto/base/process.ts'
import { eventually, until } from './eventually.ts'

const SOCKET = '/var/run/docker.sock'
/** Engines of tests that a host may have at a time. */
const MOST = 16

/**
 * Waits for its number (N, X, folder), then becomes the engine. Its /run is its own: it finds nothing of another engine
 * there.
 */
const BECOME = `
read -r number prefix folder
exec > "$folder/log" 2>&1
mount -t tmpfs tmpfs /run
exec dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" --host "unix://$folder/docker.sock" \
  --bridge containers --default-address-pool "base=$prefix.0.0/17,size=24" --cgroup-parent "/gantry-dk$number" --exec-opt native.cgroupdriver=cgroupfs`

export class DockerEngine {
  readonly #holder: ChildProcess
  readonly #cable: string
  readonly #folder: string
  readonly #prefix: string

  private constructor(holder: ChildProcess, number: number) {
    this.#holder = holder
    this.#cable = cableOf(number)
    this.#folder = `/var/tmp/${this.#cable}`
    this.#prefix = `10.${208 + number}`
  }

  /** What testcontainers, and Docker's own clients, find it by. */
  get environment(): Record<string, string> {
    return { DOCKER_HOST: `unix://${this.#folder}/docker.sock`, TESTCONTAINERS_HOST_OVERRIDE: `${this.#prefix}.255.2` }
  }

  /** Starts one without images; fails with its last words if it does not answer within a minute. */
  static async start(): Promise<DockerEngine> {
    const holder = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'unshare',
        '--pid',
        '--fork',
        '--kill-child',
        '--mount',
        '--mount-proc',
        '--net',
        'sh',
        '-euc',
        BECOME,
      ],
      { stdio: ['pipe', 'ignore', 'inherit'] },
    )
    try {
      const init = await initOf(holder)
      const number = await claim(init)
      const engine = new DockerEngine(holder, number)
      await engine.#launch(number, init)
      return engine
    } catch (thrown) {
      await end(holder)
      throw thrown
    }
  }

  async #launch(number: number, init: number): Promise<void> {
    const [cable, prefix] = [this.#cable, this.#prefix]
    await this.#clean() // of an engine whose process was killed
    await mkdir(this.#folder, { mode: 0o700 })
    const inside = (...command: string[]): Promise<unknown> =>
      run('nsenter', ['--target', String(init), '--net', ...command])
    await run('ip', ['-batch', '-'], {
      stdin: `addr add ${prefix}.255.1/30 dev ${cable}\nlink set ${cable} up\nroute add ${prefix}.0.0/16 via ${prefix}.255.2\n`,
    })
    await run('nsenter', ['--target', String(init), '--net', 'ip', '-batch', '-'], {
      stdin: `link set lo up
addr add ${prefix}.255.2/30 dev host
link set host up
link add containers type bridge
addr add ${prefix}.128.1/24 dev containers
link set containers up
`,
    })
    // A host reaches the containers of its engine without published ports; so does this one, by a rule where the engine
    // leaves its users theirs.
    await inside('iptables', '-N', 'DOCKER-USER')
    await inside('iptables', '-A', 'DOCKER-USER', '-i', 'host', '-j', 'ACCEPT')
    this.#holder.stdin!.end(`${number} ${prefix} ${this.#folder}\n`)
    try {
      await eventually(() => {
        if (hasEnded(this.#holder)) throw new Error('it ended')
        return answers(`${this.#folder}/docker.sock`)
      }, 60_000)
    } catch (cause) {
      const words = existsSync(`${this.#folder}/log`)
        ? (await readFile(`${this.#folder}/log`, 'utf8')).trim().split('\n').slice(-10).join('\n')
        : ''
      await this.stop()
      throw new Error(`the Docker engine did not start: ${(cause as Error).message}\n${words}`, { cause })
    }
  }

  /** Ends it with all its containers, and removes everything it made. */
  async stop(): Promise<void> {
    await end(this.#holder)
    await until(`${this.#cable} is gone`, () => !existsSync(`/sys/class/net/${this.#cable}`))
    await this.#clean()
  }

  async #clean(): Promise<void> {
    await eventually(() =>
      run('find', [
        '/sys/fs/cgroup',
        '-depth',
        '-path',
        `*/${this.#cable}*`,
        '-type',
        'd',
        '-exec',
        'rmdir',
        '{}',
        '+',
      ]),
    )
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function cableOf(number: number): string {
  return `gantry-dk${number}`
}

/**
 * Takes a number by the name of a network interface: the kernel gives it to one only, and takes it back when the engine
 * has ended.
 */
async function claim(init: number): Promise<number> {
  for (let number = 0; number < MOST; number++) {
    try {
      await run('ip', ['link', 'add', cableOf(number), 'type', 'veth', 'peer', 'name', 'host', 'netns', String(init)])
      return number
    } catch (thrown) {
      if (!existsSync(`/sys/class/net/${cableOf(number)}`)) throw thrown
    }
  }
  throw new Error(`${MOST} Docker engines of tests run on this host already`)
}

/** The only child of the holder, once it has its namespaces. */
function initOf({ pid }: ChildProcess): Promise<number> {
  return eventually(() => {
    const child = Number(readProcess(pid!, `task/${pid}/children`)?.trim() ?? '')
    return child > 0 && readProcess(child, 'comm') === 'sh\n' && child
  })
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function end(holder: ChildProcess): Promise<void> {
  holder.kill('SIGKILL')
  await eventually(() => hasEnded(holder))
}

/** https://docs.docker.com/reference/api/engine/version/v1.45/#tag/System/operation/SystemPing */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', timeout: 5_000 }, (response) =>
      resolve(response.resume().statusCode === 200),
    )
    asked
      .on('error', () => resolve(false))
      .on('timeout', () => asked.destroy())
      .end()
  })
}

let started: Promise<() => Promise<void>> | undefined

/**
 * Inside `describe`: the tests of this suite have a Docker engine, which testcontainers finds. One that was started for
 * them ends with the last test of all.
 */
export function usesDockerEngine(): void {
  before(async function () {
    this.timeout(120_000)
    const root = rootOf(this.test!.parent!)
    started ??= useDockerEngine().then((end) => {
      root.afterAll(end)
      return end
    })
    await started
  })
}

/**
 * After that, the image of the machines: the first who needs it installs a system into it, which takes a slow machine
 * minutes.
 */
export function usesNodeImage(): void {
  before(async function () {
    this.timeout(900_000)
    await ensureNodeImage((await openEngine()).docker, { root: join(import.meta.dirname, '..') })
  })
}

/**
 * Until the answer is called, this process has a Docker engine, which testcontainers finds: the one that is there, else
 * one of its own. testcontainers' cleaner is off: its image is in a public registry.
 */
export async function useDockerEngine(): Promise<() => Promise<void>> {
  const engine = (await isThere()) ? undefined : await DockerEngine.start()
  const environment: Record<string, string> = { ...engine?.environment, TESTCONTAINERS_RYUK_DISABLED: 'true' }
  const previous = Object.keys(environment).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, environment)
  return async () => {
    for (const [name, value] of previous) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    await engine?.stop()
  }
}

async function isThere(): Promise<boolean> {
  return process.env.DOCKER_HOST !== undefined || (existsSync(SOCKET) && (await answers(SOCKET)))
}

function rootOf(suite: Mocha.Suite): Mocha.Suite {
  return suite.parent === undefined ? suite : rootOf(suite.parent)
}
