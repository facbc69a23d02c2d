import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import type { ClusterClient } from '../../../proto/client/cluster.ts'
import type { Driver, Machine } from '../../../deploy/rig/contract.ts'
import { ITEM_BYTES, writeArchive, type Item } from '../../../deploy/rig/logs/archive.ts'
import { sourcesOf } from '../../../deploy/rig/logs/sources.ts'
import type { RigRecord } from '../../../deploy/rig/rig-record.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock, systemClock } from '../../../proto/base/clock.ts'
import type { Pod, Secret } from '../../../proto/gen/types.ts'

async function unpack(file: string): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  for await (const entry of createReadStream(file).pipe(createGunzip()).pipe(extract()))
    entries.set(entry.header.name, (await buffer(entry)).toString())
  return entries
}

describe("the archive of a rig's logs", () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-logs-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })

  const write = (items: readonly Item[], signal = new AbortController().signal) =>
    writeArchive(join(folder, 'a.tar.gz'), 'r', items, { clock: systemClock, signal })
  const item = (path: string, collect: Item['collect']): Item => ({ path, says: `about ${path}`, collect })

  it('holds what could be had, and says what could not and why', async () => {
    const report = await write([
      item('one', () => Promise.resolve('1')),
      item('broken', () => Promise.reject(new GantryError('FailedPrecondition', 'machine n2 is off'))),
      item('more', () =>
        Promise.resolve([
          item('more/a', () => Promise.resolve('A')),
          item('more/b', () => Promise.reject(new Error('no b'))),
        ]),
      ),
    ])
    assert.deepEqual(
      [report.items, report.missing.map(({ path }) => path).sort()],
      [
        ['more/a', 'one'],
        ['broken', 'more/b'],
      ],
    )
    const entries = await unpack(report.file)
    assert.deepEqual([entries.get('r/one'), entries.get('r/more/a')], ['1', 'A'])
    assert.match(
      entries.get('r/README')!,
      /one +about one[\s\S]*Could not be had:[\s\S]*broken: machine n2 is off[\s\S]*more\/b: no b/,
    )
  })

  it('keeps the end of what is too long', async () => {
    const { file } = await write([item('long', () => Promise.resolve(Buffer.alloc(ITEM_BYTES + 10, 'x')))])
    const content = (await unpack(file)).get('r/long')!
    assert.match(content, /^… 10 bytes before this are left out\nx/)
    assert.equal(content.length, ITEM_BYTES + '… 10 bytes before this are left out\n'.length)
  })

  it('leaves nothing when it is broken off', async () => {
    const stop = new AbortController()
    const writing = write([item('slow', () => new Promise(() => stop.abort()))], stop.signal)
    await assert.rejects(writing, (error) => GantryError.is(error, 'Cancelled'))
    assert.deepEqual(await readdir(folder), [])
  })

  it('says so when the folder is not there', async () => {
    await assert.rejects(
      writeArchive(join(folder, 'no', 'a'), 'r', [], { clock: systemClock, signal: new AbortController().signal }),
      /ENOENT/,
    )
  })

  describe('its sources', () => {
    const record = {
      name: 'r',
      machines: [{ spec: { name: 'n1', files: [{ path: '/tls.key', content: 'PRIVATE' }] } }],
      options: { controllers: 1, nodes: 2, diskBytes: 1 },
      faults: [{ id: 'f1', kind: 'kill', begun: '2026-01-01T00:00:00Z', description: 'n2 killed' }],
    } as unknown as RigRecord
    const machine = (name: string, off: boolean): Machine =>
      ({
        spec: { name },
        address: '10.0.0.1',
        state: () => Promise.resolve(off ? 'off' : 'running'),
        readLog: () => Promise.resolve(`log of ${name}`),
        run: (command: readonly string[]) =>
          off
            ? Promise.reject(new GantryError('FailedPrecondition', `machine ${name} is off`))
            : Promise.resolve({ code: 0, stdout: command.join(' '), stderr: '' }),
      }) as unknown as Machine
    const driver = {
      name: 'namespaces',
      capabilities: {},
      installation: {},
      check: () =>
        Promise.resolve([{ what: 'memory', found: '1 GiB', needed: '2 GiB', remedy: 'add some', severity: 'warning' }]),
    } as unknown as Driver
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default', managedFields: [{ manager: 'SECRET' }] },
      data: { key: 'U0VDUkVU' },
    } as unknown as Secret
    const pods = [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'placed', namespace: 'default' },
        spec: { nodeName: 'n1', containers: [{ name: 'c' }] },
        status: {
          phase: 'Running',
          containerStatuses: [{ name: 'c', restartCount: 1 }],
          timeline: [{ step: 'accepted', time: 'T0' }],
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'waits', namespace: 'default' },
        spec: { containers: [{ name: 'c' }] },
        status: { phase: 'Pending' },
      },
    ] as unknown as Pod[]
    const client = (away = false): ClusterClient =>
      ({
        version: () =>
          away
            ? Promise.reject(new GantryError('Unavailable', 'no controller answers'))
            : Promise.resolve({ version: '1' }),
        list: (kind: string) => Promise.resolve({ items: kind === 'Secret' ? [secret] : kind === 'Pod' ? pods : [] }),
        why: () => Promise.resolve({ summary: 'no node fits' }),
        async *events() {
          yield {
            reason: 'Started',
            message: 'it started',
            involvedObject: { kind: 'Pod', namespace: 'default', name: 'placed' },
          }
        },
        async *logs({ previous }: { previous: boolean }) {
          yield Buffer.from(previous ? 'before\n' : 'now\n')
        },
      }) as unknown as ClusterClient

    const collected = async (away = false) => {
      const report = await write(
        sourcesOf({
          record,
          driver,
          machines: [machine('n1', false), machine('n2', true)],
          client: client(away),
          clock: new FakeClock(),
        }),
      )
      return { report, entries: await unpack(report.file) }
    }

    it('are machines, objects, logs of every container, reasons of waiting; never a secret', async () => {
      const { report, entries } = await collected()
      assert.equal(entries.get('r/machines/n2/log'), 'log of n2')
      assert.match(entries.get('r/machines/n1/network.txt')!, /ip route/)
      assert.equal(entries.get('r/cluster/logs/default/placed/c.log'), 'now\n')
      assert.equal(entries.get('r/cluster/logs/default/placed/c.previous.log'), 'before\n')
      assert.match(entries.get('r/cluster/why/default-waits.json')!, /no node fits/)
      assert.match(entries.get('r/cluster/timelines.txt')!, /default\/placed on n1: Running\n {2}T0 accepted/)
      assert.match(entries.get('r/cluster/events.txt')!, /Started Pod\/default\/placed: it started/)
      assert.match(entries.get('r/faults.txt')!, /f1 n2 killed; in force/)
      assert.match(entries.get('r/host.txt')!, /warning: memory is 1 GiB, 2 GiB is needed; add some/)
      const all = [...entries.values()].join('\n')
      for (const secretText of ['U0VDUkVU', 'PRIVATE', 'SECRET']) assert.doesNotMatch(all, new RegExp(secretText))
      assert.match(
        report.missing.map(({ path, reason }) => `${path} ${reason}`).join('\n'),
        /machines\/n2\/network\.txt machine n2 is off/,
      )
      assert.equal(
        report.missing.every(({ path }) => path.startsWith('machines/n2/')),
        true,
      )
    })

    it('are fewer when the control plane is away, which is told once', async () => {
      const { report, entries } = await collected(true)
      assert.deepEqual(
        report.missing.filter(({ path }) => path.startsWith('cluster')),
        [{ path: 'cluster', reason: 'no controller answers' }],
      )
      assert.equal(entries.get('r/machines/n1/log'), 'log of n1')
    })
  })
})
