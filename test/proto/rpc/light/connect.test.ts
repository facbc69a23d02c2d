import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issue, type KeyPair } from '../../../../deploy/ca.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { CONTROLLER_HOST, type Connection } from '../../../../proto/rpc/contract.ts'
import {
  CheckedCertificateFile,
  type CheckedCertificate,
  type CheckedCertificates,
} from '../../../../proto/rpc/light/checked-certificates.ts'
import { connect } from '../../../../proto/rpc/light/connect.ts'
import type { WhyRequest } from '../../../../proto/gen/types.ts'
import { methodsOf } from '../../../../proto/rpc/methods.ts'
import { Server } from '../../../../proto/rpc/rpc.ts'
import { transportSuite } from '../../../contract/transport.ts'

const NOW = Date.UTC(2026, 6, 1)
const DAY = 24 * 3600_000

describe('the light client', () => {
  transportSuite(() => ({
    server: (authorize) => new Server({ address: '127.0.0.1:0', ...(authorize !== undefined && { authorize }) }),
    connect: (address) => connect(address),
    nowhere: '127.0.0.1:1',
  }))

  describe('with TLS', () => {
    let authority: KeyPair
    let other: KeyPair
    let client: KeyPair
    const ends: (() => Promise<unknown> | void)[] = []

    before(async () => {
      const now = Date.now()
      authority = await createAuthority('one', now)
      other = await createAuthority('other', now)
      client = await issue(authority, { commonName: 'me' }, now)
    })

    afterEach(async () => {
      for (const end of ends.splice(0).reverse()) await end()
    })

    /** Serves with a certificate for those hosts; answers with its address. */
    async function serve(hosts: readonly string[] = [CONTROLLER_HOST]): Promise<string> {
      const certificate = await issue(authority, { commonName: 'server', hosts }, Date.now())
      const server = new Server({ address: '127.0.0.1:0', tls: { ca: authority.cert, ...certificate } })
      const none = (): never => assert.fail('not asked for')
      const methods = Object.fromEntries(methodsOf('Cluster').map(({ name }) => [name, none]))
      const why = ({ pod }: WhyRequest): Promise<object> => Promise.resolve({ summary: pod })
      server.add('Cluster', { ...methods, why } as never)
      ends.push(() => server.stop())
      return server.start()
    }

    function ask(address: string, checked?: CheckedCertificates, tls = {}): Promise<string> {
      const connection: Connection = connect(address, { ca: authority.cert, ...client, ...tls }, undefined, checked)
      ends.push(() => connection.close())
      return connection
        .client('Cluster')
        .why({ pod: 'web' })
        .then(({ summary }) => summary)
    }

    /** Remembers in memory. */
    class Memory implements CheckedCertificates {
      readonly all: CheckedCertificate[] = []
      of(authority: string, name: string): string[] {
        return this.all.filter((one) => one.authority === authority && one.name === name).map(({ digest }) => digest)
      }
      add(certificate: CheckedCertificate): void {
        this.all.push(certificate)
      }
    }

    const refused = (text: RegExp) => (thrown: unknown) =>
      GantryError.is(thrown, 'Unavailable') && text.test(thrown.message)

    it('checks a certificate in full once, and then knows it', async () => {
      const [address, memory] = [await serve(), new Memory()]
      for (let time = 0; time < 3; time++) assert.equal(await ask(address, memory), 'web')
      const [known, ...more] = memory.all
      assert.deepEqual(more, [])
      assert.deepEqual([known!.authority, known!.name], [authority.cert, CONTROLLER_HOST])
      assert.ok(
        known!.from < Date.now() && known!.until > Date.now() + 364 * DAY && known!.until < Date.now() + 366 * DAY,
      )
    })

    it('takes a certificate that it knows without asking the authority', async () => {
      const [address, memory] = [await serve(), new Memory()]
      await ask(address, memory)
      const asOther = new Memory()
      asOther.add({ ...memory.all[0]!, authority: other.cert })
      assert.equal(await ask(address, asOther, { ca: other.cert }), 'web')
      await assert.rejects(ask(address, new Memory(), { ca: other.cert }), refused(/certificate/))
    })

    it('checks a certificate in full that is not the one that it knows', async () => {
      const [one, two, memory] = [await serve(), await serve(), new Memory()]
      await ask(one, memory)
      assert.equal(await ask(two, memory), 'web')
      assert.equal(memory.all.length, 2)
      assert.equal(await ask(one, memory), 'web')
      assert.equal(memory.all.length, 2)
      const wrong = new Memory()
      wrong.add({ ...memory.all[0]!, authority: other.cert })
      await assert.rejects(ask(two, wrong, { ca: other.cert }), refused(/certificate/))
      assert.equal(wrong.all.length, 1)
    })

    it('does not remember what the environment lets pass unchecked', async () => {
      const [address, memory] = [await serve(), new Memory()]
      const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
      try {
        assert.equal(await ask(address, memory, { ca: other.cert }), 'web')
      } finally {
        if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
        else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
      }
      assert.deepEqual(memory.all, [])
      await assert.rejects(ask(address, memory, { ca: other.cert }), refused(/certificate/))
    })

    it('knows a certificate only by the name that it was checked for', async () => {
      const [address, memory] = [await serve(['elsewhere']), new Memory()]
      await assert.rejects(ask(address, memory), refused(/does not match certificate's altnames/))
      assert.equal(await ask(address, memory, { serverName: 'elsewhere' }), 'web')
      await assert.rejects(ask(address, memory), refused(/does not match certificate's altnames/))
      assert.deepEqual(
        memory.all.map(({ name }) => name),
        ['elsewhere'],
      )
    })

    it('is refused with a certificate of another authority', async () => {
      const [address, memory] = [await serve(), new Memory()]
      await ask(address, memory)
      const stranger = await issue(other, { commonName: 'stranger' }, Date.now())
      for (const checked of [memory, new Memory()])
        await assert.rejects(ask(address, checked, stranger), (thrown: unknown) =>
          GantryError.is(thrown, 'Unavailable'),
        )
    })

    it('does not speak to a server without TLS', async () => {
      const server = createServer((socket) =>
        socket
          .on('error', () => undefined)
          .resume()
          .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      )
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      ends.push(() => new Promise((resolve) => server.close(resolve)))
      await assert.rejects(ask(`127.0.0.1:${(server.address() as AddressInfo).port}`), refused(/SSL|closed/))
    })
  })

  describe('the file of certificates that were checked', () => {
    let folder: string
    const clock = new FakeClock(NOW)
    const path = (): string => join(folder, 'kept/checked.json')
    const file = (): CheckedCertificateFile => new CheckedCertificateFile(path(), clock)
    const certificate = (digest: string, rest: Partial<CheckedCertificate> = {}): CheckedCertificate => ({
      authority: 'A',
      name: 'n',
      digest,
      from: NOW - DAY,
      until: NOW + DAY,
      ...rest,
    })

    beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gantry-checked-'))))
    afterEach(() => rmSync(folder, { recursive: true }))

    it('is kept for the next program, the newest first', () => {
      for (const digest of ['1', '2', '1']) file().add(certificate(digest))
      assert.deepEqual(file().of('A', 'n'), ['1', '2'])
      assert.deepEqual(file().of('B', 'n'), [])
      assert.deepEqual(file().of('A', 'm'), [])
    })

    it('knows none before or after its time', () => {
      file().add(certificate('early', { from: NOW + 1 }))
      file().add(certificate('late', { until: NOW }))
      file().add(certificate('now', { from: NOW, until: NOW + 1 }))
      assert.deepEqual(file().of('A', 'n'), ['now'])
    })

    it('forgets the oldest', () => {
      for (let number = 0; number < 30; number++) file().add(certificate(String(number)))
      assert.deepEqual(
        file().of('A', 'n'),
        Array.from({ length: 20 }, (_, index) => String(29 - index)),
      )
    })

    it('counts for nothing where others may write, and where it is damaged', () => {
      file().add(certificate('1'))
      chmodSync(path(), 0o622)
      assert.deepEqual(file().of('A', 'n'), [])
      file().add(certificate('2'))
      assert.deepEqual(file().of('A', 'n'), ['2'])
      for (const text of ['', '{', '{}', '[1, null, {"digest": "1"}]', `[${JSON.stringify(certificate('1'))}`]) {
        writeFileSync(path(), text)
        assert.deepEqual(file().of('A', 'n'), [])
      }
      file().add(certificate('3'))
      assert.deepEqual(file().of('A', 'n'), ['3'])
      assert.match(readFileSync(path(), 'utf8'), /^\[\{/)
    })

    it('does without where none can be kept', () => {
      writeFileSync(join(folder, 'kept'), '')
      file().add(certificate('1'))
      assert.deepEqual(file().of('A', 'n'), [])
    })
  })
})
