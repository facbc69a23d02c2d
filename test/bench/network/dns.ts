/**
 * Names on a node with 10,000 Services: answers at a fixed rate and as many as there can be, asked from another network
 * namespace, beside the floor (a bare program that sends packets back) and, where it is installed, dnsmasq with the
 * same names.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../proto/base/command.ts'
import { Machines } from '../../agent/dns/namespaces.ts'
import { eventually } from '../../eventually.ts'
import type { Figure } from '../figures.ts'

const PROGRAM = join(import.meta.dirname, 'dns-load.mjs')
const SERVICES = 10_000
/** Queries a second. */
const RATE = 20_000
const SECONDS = 4
/** Names asked for in turn. */
const ASKED = 1000
const NODE = '10.1.2.1'
/**
 * The first alone asks at the rate; all of them for as many answers as there can be: one client is given a share only.
 */
const CLIENTS = Array.from({ length: 8 }, (_, at) => `10.1.2.${9 + at}`)

interface Load {
  readonly sent: number
  readonly answered: number
  readonly wrong: number
  readonly seconds: number
  readonly late: number
  readonly latencies: readonly number[]
}

async function load(machines: Machines, address: string, port: number, rate: number, seconds: number): Promise<Load> {
  return JSON.parse(
    (
      await machines.exec(process.execPath, [
        PROGRAM,
        'generate',
        address,
        String(port),
        String(rate),
        String(seconds),
        String(ASKED),
        ...(rate === 0 ? CLIENTS : CLIENTS.slice(0, 1)),
      ])
    ).stdout,
  ) as Load
}

/** One server: warmed, then at the rate, then with 64 queries under way. */
async function measure(
  machines: Machines,
  name: string,
  pid: number,
  address: string,
  port: number,
  targets: boolean,
): Promise<Figure[]> {
  await load(machines, address, port, 5000, 1)
  const busy = processorTime(pid)
  const steady = await load(machines, address, port, RATE, SECONDS)
  const each = (processorTime(pid) - busy) / steady.answered
  const most: number[] = []
  for (let round = 0; round < 3; round++) {
    const { answered, seconds } = await load(machines, address, port, 0, 1)
    most.push(answered / seconds)
  }
  const lost = steady.sent - steady.answered
  const note = `${Math.round(steady.answered / SECONDS)} answers/s, ${lost} lost, ${steady.wrong} wrong; ${steady.late} that the generator sent late not counted`
  return [
    {
      name: `${name}: answer at ${RATE}/s`,
      unit: 'ms',
      samples: steady.latencies.map((micros) => micros / 1000),
      note,
      ...(targets ? { goal: { p99: 1 } } : {}),
    },
    { name: `${name}: processor time of an answer`, unit: 'µs', samples: [each * 1e6] },
    {
      name: `${name}: most answers, 8 clients, 64 under way`,
      unit: '/s',
      samples: most,
      ...(targets ? { goal: { atLeast: 20_000 } } : {}),
    },
  ]
}

/** Seconds of all its threads: proc_pid_stat(5). */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export async function dnsFigures(): Promise<Figure[]> {
  const machines = await Machines.make()
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-dns-'))
  const children: ChildProcess[] = []
  const start = (program: string, args: readonly string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', machines.node, program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    return child
  }
  try {
    for (const client of CLIENTS.slice(1))
      await run('ip', ['-netns', machines.pod, 'addr', 'add', `${client}/24`, 'dev', 'eth0'])
    const echo = start(process.execPath, [PROGRAM, 'echo', NODE, '5300'])
    await once(echo.stdout!, 'data')
    const floor = await measure(machines, 'packets sent back', echo.pid!, NODE, 5300, false)
    const names = machines.names('127.0.0.1:9')
    const began = performance.now()
    await names.tell({ apply: { objects: [], services: SERVICES, revision: 1 } })
    const told = performance.now() - began
    const again: number[] = []
    for (let revision = 2; revision < 22; revision++) {
      const from = performance.now()
      await names.tell({ apply: { objects: [], services: SERVICES, revision, keys: ['Service/default/web-77'] } })
      again.push(performance.now() - from)
    }
    const own = await measure(machines, `names, ${SERVICES} Services`, names.pid, '169.254.20.10', 53, true)
    await names.stop()
    const peer = await dnsmasq(machines, directory, start)
    return [
      ...own,
      ...floor,
      ...peer,
      {
        name: `names: first view of ${SERVICES} Services`,
        unit: 'ms',
        samples: [told],
        note: "with the program's start",
      },
      { name: 'names: one Service changed', unit: 'ms', samples: again, note: 'with a view made anew by the test' },
    ]
  } finally {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    await machines.remove()
    rmSync(directory, { recursive: true })
  }
}

async function dnsmasq(
  machines: Machines,
  directory: string,
  start: (program: string, args: readonly string[]) => ChildProcess,
): Promise<Figure[]> {
  if ((await run('sh', ['-c', 'command -v dnsmasq'], { allow: [0, 127, 1] })).code !== 0) return []
  const hosts = join(directory, 'hosts')
  writeFileSync(
    hosts,
    Array.from(
      { length: SERVICES },
      (_, at) => `10.96.${at >> 8}.${at & 255} web-${at}.default.svc.cluster.local\n`,
    ).join(''),
  )
  const peer = start('dnsmasq', [
    '--keep-in-foreground',
    '--no-resolv',
    '--no-hosts',
    '--conf-file=/dev/null',
    `--addn-hosts=${hosts}`,
    '--port=5301',
    `--listen-address=${NODE}`,
    '--bind-interfaces',
    '--user=root',
    '--pid-file=',
  ])
  await eventually(
    async () =>
      (
        await machines.exec(
          'dig',
          [`@${NODE}`, '-p', '5301', '+short', '+tries=1', '+time=1', 'web-7.default.svc.cluster.local'],
          [0, 9],
        )
      ).stdout === '10.96.0.7\n',
  )
  return measure(machines, 'dnsmasq, the same names', peer.pid!, NODE, 5301, false)
}
