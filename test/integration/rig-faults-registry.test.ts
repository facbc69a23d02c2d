import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { registryFault } from '../../deploy/rig/faults/registry.ts'
import { TinyRig } from './tiny-rig.ts'

/** Blobs of a megabyte and manifests of a kilobyte, of one letter, with the digest that they should have. */
const REGISTRY = `
const { createHash } = require('crypto')
require('http').createServer((request, response) => {
  request.resume()
  if (request.url === '/v2/') return response.end('{}')
  const body = Buffer.alloc(request.url.includes('/blobs/') ? 1_000_000 : 1_000, 'a')
  response.writeHead(200, { 'content-length': body.length, 'docker-content-digest': 'sha256:' + createHash('sha256').update(body).digest('hex') })
  response.end(request.method === 'HEAD' ? undefined : body)
}).listen(5000, process.argv[1], () => console.log('up'))
`
/** One request; what came of it, in JSON. */
const GET = `
const begun = performance.now()
const request = require('http').request({ host: process.argv[1], port: 5000, path: process.argv[2], method: process.argv[3], agent: false }, (response) => {
  const hash = require('crypto').createHash('sha256')
  let bytes = 0
  const say = (error) => { console.log(JSON.stringify({ status: response.statusCode, retryAfter: response.headers['retry-after'], bytes, digest: 'sha256:' + hash.digest('hex'), told: response.headers['docker-content-digest'], error, millis: performance.now() - begun })); process.exit() }
  response.on('data', (chunk) => { bytes += chunk.length; hash.update(chunk) }).on('end', () => say()).on('error', (error) => say(error.code))
})
request.on('error', (error) => { console.log(JSON.stringify({ error: error.code })); process.exit() })
request.end()
`
const BLOB = '/v2/library/hello/blobs/sha256:abc'
const MANIFEST = '/v2/library/hello/manifests/latest'
const WHOLE = `sha256:${createHash('sha256').update(Buffer.alloc(1_000_000, 'a')).digest('hex')}`

interface Answer {
  readonly status?: number
  readonly retryAfter?: string
  readonly bytes: number
  readonly digest: string
  readonly told: string
  readonly error?: string
  readonly millis: number
}

describe('the fault "registry"', function () {
  this.timeout(60_000)
  let rig: TinyRig

  before(async () => {
    rig = await TinyRig.start([registryFault], {
      registry: { role: 'registry', index: 3 },
      n1: { role: 'node', index: 11 },
      n2: { role: 'node', index: 12 },
    })
    await rig.serve('registry', REGISTRY, rig.machine('registry').address)
  })
  after(() => rig.stop())
  afterEach(() => rig.engine.heal())

  async function get(path: string, { from = 'n1', method = 'GET' } = {}): Promise<Answer> {
    return JSON.parse(
      await rig.ask(from, process.execPath, '-e', GET, rig.machine('registry').address, path, method),
    ) as Answer
  }

  it('says 429 and when to try again, and all is well after heal', async () => {
    await rig.engine.begin('registry', { mode: '429', retryAfter: 2_500 })
    for (const path of ['/v2/', BLOB, MANIFEST]) {
      const { status, retryAfter } = await get(path)
      assert.deepEqual({ status, retryAfter }, { status: 429, retryAfter: '3' })
    }
    await rig.engine.heal()
    const { status, digest } = await get(BLOB)
    assert.deepEqual({ status, digest }, { status: 200, digest: WHOLE })
    assert.equal(await rig.ask('registry', 'nft', 'list', 'ruleset'), '')
  })

  it('fails with 500 for what it is asked to, and for whom', async () => {
    await rig.engine.begin('registry', { mode: '500', only: 'manifests', from: ['n1'] })
    assert.equal((await get(MANIFEST)).status, 500)
    assert.equal((await get(BLOB)).status, 200)
    assert.equal((await get('/v2/')).status, 200)
    assert.equal((await get(MANIFEST, { from: 'n2' })).status, 200)
  })

  it('cuts a blob in the middle, and the connection with it', async () => {
    await rig.engine.begin('registry', { mode: 'cut' })
    const { status, bytes, error } = await get(BLOB)
    assert.deepEqual({ status, bytes, error }, { status: 200, bytes: 500_000, error: 'ECONNRESET' })
    assert.equal((await get(BLOB, { method: 'HEAD' })).status, 200)
  })

  it('alters a blob so that its digest is wrong, at its full length', async () => {
    await rig.engine.begin('registry', { mode: 'wrong-digest', only: 'blobs' })
    const { status, bytes, digest, told } = await get(BLOB)
    assert.deepEqual({ status, bytes, told }, { status: 200, bytes: 1_000_000, told: WHOLE })
    assert.notEqual(digest, WHOLE)
    const manifest = await get(MANIFEST)
    assert.equal(manifest.digest, manifest.told)
  })

  it('is slow to answer, and slow to send', async () => {
    const late = await rig.engine.begin('registry', { mode: 'slow', latency: 400 })
    const { millis } = await get(MANIFEST)
    assert(millis >= 390, `${millis} ms`)
    await rig.engine.heal([late.id])
    await rig.engine.begin('registry', { mode: 'slow', rate: 1_000_000 })
    const blob = await get(BLOB)
    assert(blob.millis >= 950, `${blob.millis} ms for a second's worth`)
    assert.equal(blob.digest, WHOLE)
  })

  it('strikes a share of the requests', async () => {
    await rig.engine.begin('registry', { mode: '500', share: 0.5 })
    const statuses = await rig.ask(
      'n1',
      process.execPath,
      '-e',
      `
      const ask = async (times) => { for (; times > 0; times--) process.stdout.write(String((await fetch('http://' + process.argv[1] + ':5000/v2/')).status) + ' ') }
      for (let client = 0; client < 5; client++) ask(40)
    `,
      rig.machine('registry').address,
    )
    const failed = statuses.split(' ').filter((status) => status === '500').length
    // Fewer than 50 or more than 150 of 200 are less likely than one in 10^11.
    assert(failed > 50 && failed < 150, `${failed} of 200`)
  })

  it('refuses what does not go together, and two for the same', async () => {
    const begin = (given: Record<string, unknown>) => () => rig.engine.begin('registry', given)
    await assert.rejects(begin({ mode: 'slow' }), {
      code: 'InvalidArgument',
      message: /slow needs a latency or a rate/,
    })
    await assert.rejects(begin({ mode: 'cut', rate: 5 }), { code: 'InvalidArgument', message: /cut takes no rate/ })
    await assert.rejects(begin({ mode: '500', retryAfter: 5 }), { code: 'InvalidArgument' })
    const { id } = await rig.engine.begin('registry', { mode: '500', from: ['n1'] })
    await assert.rejects(begin({ mode: '429' }), {
      code: 'FailedPrecondition',
      message: `the registry fails already for n1, by ${id}`,
    })
    await rig.engine.begin('registry', { mode: '429', from: ['n2'] })
    assert.deepEqual([(await get('/v2/')).status, (await get('/v2/', { from: 'n2' })).status], [500, 429])
    await rig.engine.heal([id])
    assert.deepEqual([(await get('/v2/')).status, (await get('/v2/', { from: 'n2' })).status], [200, 429])
  })
})
