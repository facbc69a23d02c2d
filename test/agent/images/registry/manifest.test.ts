import assert from 'node:assert/strict'
import { parseChallenges } from '../../../../agent/images/registry/authorization.ts'
import { endpoints, plainHosts, trustedFiles } from '../../../../agent/images/registry/endpoint.ts'
import {
  choosePlatform,
  DOCKER_INDEX,
  DOCKER_MANIFEST,
  machinePlatform,
  OCI_INDEX,
  OCI_MANIFEST,
  parseConfig,
  parseManifest,
  type Manifest,
} from '../../../../agent/images/registry/manifest.ts'
import { chainIds } from '../../../../agent/images/puller.ts'
import { GantryError } from '../../../../proto/base/errors.ts'

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const CONFIG = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('c'), size: 3 }
const LAYER = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: digest('1'), size: 5 }

function refused(parse: () => unknown, message: RegExp, code: GantryError['code'] = 'InvalidArgument'): void {
  assert.throws(parse, (error: unknown) => GantryError.is(error, code) && message.test(error.message))
}

describe('manifests', () => {
  it('are read in OCI and Docker form, by their own type or the header', () => {
    const image = { kind: 'image', config: CONFIG, layers: [LAYER] }
    assert.deepEqual(
      parseManifest(json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config: CONFIG, layers: [LAYER] }), '', 'm'),
      image,
    )
    assert.deepEqual(
      parseManifest(
        json({ schemaVersion: 2, config: CONFIG, layers: [LAYER] }),
        `${DOCKER_MANIFEST}; charset=utf-8`,
        'm',
      ),
      image,
    )
    const entry = { ...CONFIG, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }
    for (const type of [OCI_INDEX, DOCKER_INDEX])
      assert.deepEqual(parseManifest(json({ schemaVersion: 2, manifests: [entry] }), type, 'm'), {
        kind: 'index',
        manifests: [entry],
      })
  })

  it('take every kind of file system layer and nothing else', () => {
    const parse = (mediaType: string) => (): unknown =>
      parseManifest(json({ config: CONFIG, layers: [{ ...LAYER, mediaType }] }), OCI_MANIFEST, 'm')
    for (const type of [
      'application/vnd.oci.image.layer.v1.tar',
      'application/vnd.oci.image.layer.v1.tar+zstd',
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    ])
      parse(type)()
    refused(
      parse('application/vnd.cncf.helm.chart.content.v1.tar+gzip'),
      /layers\[0\] is of type .*no file system layer/,
    )
  })

  it('are refused with the place of what is wrong', () => {
    const parse = (value: unknown) => (): unknown => parseManifest(json(value), OCI_MANIFEST, 'm')
    refused(() => parseManifest(Buffer.from('<html>'), OCI_MANIFEST, 'm'), /^m is not JSON/)
    refused(parse([]), /^m is not an object/)
    refused(parse({ config: CONFIG, layers: 3 }), /^m: layers is not a list/)
    refused(parse({ config: { ...CONFIG, digest: '../../etc' }, layers: [] }), /^m: config: digest "\.\.\/\.\.\/etc"/)
    refused(
      parse({ config: { ...CONFIG, size: 9 << 20 }, layers: [] }),
      /^m: config has 9437184 bytes, more than 8388608/,
    )
    refused(parse({ config: CONFIG, layers: [{ ...LAYER, size: -1 }] }), /^m: layers\[0\]: size -1/)
    refused(parse({ config: CONFIG, layers: Array.from({ length: 201 }, () => LAYER) }), /201 layers, more than 200/)
    refused(
      () => parseManifest(json({ schemaVersion: 1 }), 'application/vnd.docker.distribution.manifest.v1+prettyjws', 'm'),
      /schema 1/,
      'Unsupported',
    )
    refused(() => parseManifest(json({ x: 1 }), 'text/plain', 'm'), /of type "text\/plain", which is no image/)
  })

  it('are chosen by platform and variant', () => {
    const index = (...platforms: [string, string][]): Extract<Manifest, { kind: 'index' }> => ({
      kind: 'index',
      manifests: platforms.map(([architecture, variant], place) => ({
        mediaType: OCI_MANIFEST,
        digest: digest(String(place)),
        size: 1,
        platform: { os: 'linux', architecture, variant },
      })),
    })
    const choice = (arch: string, manifests: Extract<Manifest, { kind: 'index' }>): number | undefined => {
      const found = choosePlatform(manifests, machinePlatform(arch))
      return found === undefined ? undefined : Number(found.digest[7])
    }
    assert.equal(choice('x64', index(['arm64', 'v8'], ['amd64', 'v3'], ['amd64', ''])), 2)
    assert.equal(choice('x64', index(['amd64', 'v3'])), undefined)
    assert.equal(choice('arm64', index(['amd64', ''], ['arm64', 'v8'])), 1)
    assert.equal(choice('arm', index(['arm', 'v5'], ['arm', 'v7'])), 1)
    assert.equal(choice('x64', index(['unknown', ''])), undefined)
    const one = { mediaType: OCI_MANIFEST, digest: digest('a'), size: 1, platform: undefined }
    assert.equal(choosePlatform({ kind: 'index', manifests: [one] }, machinePlatform('x64')), one)
  })
})

describe('image configs', () => {
  it('are read with what is missing empty', () => {
    const config = parseConfig(
      json({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digest('1')] }, config: null }),
      'c',
    )
    assert.deepEqual(config, {
      platform: { os: 'linux', architecture: 'amd64', variant: '' },
      diffIds: [digest('1')],
      image: { env: [], entrypoint: [], cmd: [], workingDir: '', user: '', stopSignal: '', volumes: [], labels: {} },
    })
    refused(() => parseConfig(json({}), 'c'), /^c: rootfs is not an object/)
    refused(() => parseConfig(json({ rootfs: { diff_ids: ['x'] } }), 'c'), /diff_ids holds "x"/)
    refused(() => parseConfig(json({ rootfs: { diff_ids: [] }, config: { Cmd: [1] } }), 'c'), /^c: Cmd holds 1/)
  })

  it('give chain ids as the specification says', () => {
    assert.deepEqual(chainIds([]), [])
    // printf 'sha256:111… sha256:222…' | sha256sum
    assert.deepEqual(chainIds([digest('1'), digest('2')]), [
      digest('1'),
      'sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5',
    ])
  })
})

describe('challenges and endpoints', () => {
  it('are parsed, several in one header', () => {
    assert.deepEqual(
      parseChallenges('Bearer realm="https://a/t?x=1,2",service="r \\"q\\"", scope=repository:a:pull, Basic realm="b"'),
      [
        { scheme: 'bearer', parameters: { realm: 'https://a/t?x=1,2', service: 'r "q"', scope: 'repository:a:pull' } },
        { scheme: 'basic', parameters: { realm: 'b' } },
      ],
    )
    assert.deepEqual(parseChallenges(''), [])
  })

  it('give mirrors first, and credentials only to their own host', () => {
    const mine = { registry: 'https://index.docker.io/v1/', username: 'me', password: 'p' }
    const found = endpoints(
      { registry: 'docker.io', repository: 'library/a', credentials: [mine] },
      { mirrors: { 'docker.io': ['http://10.0.0.1:5000/', 'https://m.example/prefix'] } },
    )
    assert.deepEqual(
      found.map(({ base, mirror, credential }) => [base.href, mirror, credential?.username]),
      [
        ['http://10.0.0.1:5000/', true, undefined],
        ['https://m.example/prefix', true, undefined],
        ['https://registry-1.docker.io/', false, 'me'],
      ],
    )
    refused(
      () => endpoints({ registry: 'a', repository: 'b', credentials: [] }, { mirrors: { a: ['10.0.0.1:5000'] } }),
      /"10\.0\.0\.1:5000" is no http or https address/,
    )
  })

  it('have mirrors for all registries that have no entry of their own, each in a folder there', () => {
    const mine = { registry: 'r:5000/quay.io', username: 'me', password: 'p' }
    const mirrors = {
      'docker.io': ['http://r:5000'],
      'r:5000': [],
      '*': ['http://r:5000/v2/*', 'http://r:5000/proxy/v2/cache/'],
    }
    const places = (registry: string): string[] =>
      endpoints({ registry, repository: 'a/b', credentials: [mine] }, { mirrors }).map(
        ({ base, repository, credential }) => `${base.href} ${repository} ${credential?.username ?? ''}`.trim(),
      )
    assert.deepEqual(places('docker.io'), ['http://r:5000/ a/b', 'https://registry-1.docker.io/ a/b'])
    assert.deepEqual(places('quay.io'), [
      'http://r:5000/ quay.io/a/b me',
      'http://r:5000/proxy cache/a/b',
      'https://quay.io/ a/b',
    ])
    assert.deepEqual(places('Host:5001')[0], 'http://r:5000/ host_5001/a/b', 'a colon cannot stand in a name')
    assert.deepEqual(places('r:5000'), ['https://r:5000/ a/b'])
    assert.deepEqual([...plainHosts({ mirrors })], ['r:5000'])
    refused(
      () => endpoints({ registry: 'a', repository: 'b', credentials: [] }, { mirrors: { '*': ['r:5000/v2/*'] } }),
      /mirror of a: "r:5000" is no http or https address/,
    )
  })

  it('give the credentials that say most of the repository', () => {
    const credentials = [
      'r.example',
      'r.example/team',
      'https://r.example/team/app/',
      'other.example/team',
      'hub.example/v2/',
    ].map((registry) => ({ registry, username: registry, password: 'p' }))
    const user = (registry: string, repository: string): string | undefined =>
      endpoints({ registry, repository, credentials }, {})[0]!.credential?.username
    assert.equal(user('r.example', 'team/app'), 'https://r.example/team/app/')
    assert.equal(user('r.example', 'team/web'), 'r.example/team')
    assert.equal(user('r.example', 'teams/web'), 'r.example')
    assert.equal(user('other.example', 'teams'), undefined)
    assert.equal(user('hub.example', 'app'), 'hub.example/v2/')
  })

  it('trust certificates for the host that is spoken to', () => {
    assert.deepEqual(trustedFiles({ ca: { 'docker.io': '/hub.pem', 'a:443': '/a.pem', 'b:5000': '/b.pem' } }), {
      'registry-1.docker.io': '/hub.pem',
      a: '/a.pem',
      'b:5000': '/b.pem',
    })
  })

  it('allow plain HTTP only where it is written down', () => {
    assert.deepEqual(
      [
        ...plainHosts({
          insecure: ['a:5000', 'b:5000'],
          ca: { 'b:5000': '/ca.pem' },
          mirrors: { x: ['http://m:1', 'https://n:2'] },
        }),
      ],
      ['a:5000', 'm:1'],
    )
    const scheme = (registry: string): string =>
      endpoints(
        { registry, repository: 'b', credentials: [] },
        { insecure: ['a:5000', 'b:5000'], ca: { 'b:5000': '/ca.pem' } },
      )[0]!.base.protocol
    assert.deepEqual(['a:5000', 'b:5000', 'c:5000'].map(scheme), ['http:', 'https:', 'https:'])
  })
})
