import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { EtcdStore, type EtcdOptions } from '../../controller/store/etcd.ts'
import { createAuthority, issue, type KeyPair } from '../../deploy/ca.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { committed, failsWith, put } from '../contract/store.ts'
import { TestEtcd } from './store-etcd.ts'

describe('etcd store over mTLS', () => {
  let directory: string
  let etcd: TestEtcd
  let authority: KeyPair
  let client: KeyPair

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gantry-etcd-tls-'))
    const now = Date.now()
    authority = await createAuthority('test', now)
    client = await issue(authority, { commonName: 'controller' }, now)
    const server = await issue(authority, { commonName: 'etcd', hosts: ['127.0.0.1'] }, now)
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(directory, name), text, { mode: 0o600 })
      return join(directory, name)
    }
    etcd = await TestEtcd.start([
      '--cert-file',
      await file('server.crt', server.cert),
      '--key-file',
      await file('server.key', server.key),
      '--trusted-ca-file',
      await file('ca.crt', authority.cert),
      '--client-cert-auth',
    ])
  })
  after(async () => {
    await etcd.remove()
    await rm(directory, { recursive: true })
  })

  const open = (tls: EtcdOptions['tls'], timeout: number): EtcdStore =>
    new EtcdStore(
      { endpoints: [etcd.endpoint], clock: systemClock, timeout, ...(tls === undefined ? {} : { tls }) },
      systemRandom,
    )
  const pem = ({ cert, key }: KeyPair, ca = authority.cert): EtcdOptions['tls'] => ({
    ca: Buffer.from(ca),
    cert: Buffer.from(cert),
    key: Buffer.from(key),
  })

  it('reads, writes and watches', async () => {
    const store = open(pem(client), 10_000)
    const revision = await committed(store, put('/gantry/a', '1'))
    for await (const { events } of store.watch('/gantry/', revision - 1, new AbortController().signal)) {
      assert.equal(events[0]!.entry.key, '/gantry/a')
      break
    }
    await store.close()
  })

  it('is refused without a certificate, and refuses a server of another authority', async () => {
    const plain = open(undefined, 500)
    await assert.rejects(plain.get('/gantry/a'), failsWith('Unavailable'))
    await plain.close()
    const other = await createAuthority('other', Date.now())
    const misled = open(pem(client, other.cert), 500)
    await assert.rejects(misled.get('/gantry/a'), failsWith('Unavailable'))
    await misled.close()
  })
})
