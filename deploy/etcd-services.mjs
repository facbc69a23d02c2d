/**
 * The services of etcd, for bundles: the package etcd3 reads and parses their schema whenever it is loaded, and makes
 * descriptions of it that nobody looks at, which is a tenth of a controller's start. Here that is done when a bundle is
 * made; a message is made ready by the first call that has one.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const here = createRequire(import.meta.url)
const etcd3 = dirname(here.resolve('etcd3/package.json'))
const inEtcd3 = createRequire(join(etcd3, 'package.json'))
const protobuf = inEtcd3('protobufjs')
const camelCase = inEtcd3('lodash.camelcase')

/** As connection-pool.js of etcd3 has it, of which these parts are replaced. */
const REQUIRE = 'const proto_loader_1 = require("@grpc/proto-loader");\n'
const LOAD = `(0, proto_loader_1.loadSync)(\`\${__dirname}/../proto/rpc.proto\`, {
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
})`

/** A plugin of esbuild. */
export const etcdServices = {
  name: 'etcd-services',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /etcd3[\\/]lib[\\/]connection-pool\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      if (!source.includes(REQUIRE) || !source.includes(LOAD)) throw new Error(`${path} no longer loads its schema so`)
      return { contents: source.replace(REQUIRE, '').replace(LOAD, 'require("etcd-services")') }
    })
    onResolve({ filter: /^etcd-services$/ }, () => ({ path: 'etcd-services', namespace: 'etcd-services' }))
    onLoad({ filter: /.*/, namespace: 'etcd-services' }, () => ({ contents: moduleText(), resolveDir: etcd3 }))
  },
}

/** What `loadSync` of @grpc/proto-loader answers with, as far as clients of gRPC look at it. */
export function moduleText() {
  const root = new protobuf.Root().loadSync(join(etcd3, 'proto/rpc.proto'), { keepCase: true }).resolveAll()
  return `
const protobuf = require('protobufjs/light')
const { services, schema } = JSON.parse(${JSON.stringify(JSON.stringify({ services: servicesOf(root), schema: root.toJSON() }))})
const OPTIONS = { longs: String, enums: String, defaults: true, oneofs: true }
let root
const types = new Map()
function type(name) {
  if (!types.has(name)) types.set(name, (root ??= protobuf.Root.fromJSON(schema).resolveAll()).lookupType(name))
  return types.get(name)
}
const serialize = (name) => (value) => type(name).encode(type(name).fromObject(value)).finish()
const deserialize = (name) => (bytes) => type(name).toObject(type(name).decode(bytes), OPTIONS)
for (const methods of Object.values(services))
  for (const method of Object.values(methods)) {
    method.requestSerialize = serialize(method.request)
    method.requestDeserialize = deserialize(method.request)
    method.responseSerialize = serialize(method.response)
    method.responseDeserialize = deserialize(method.response)
  }
module.exports = services
`
}

/** By name, each with its methods. */
function servicesOf(namespace) {
  return Object.fromEntries(
    namespace.nestedArray.flatMap((item) => {
      if (item instanceof protobuf.Service) {
        const name = item.fullName.slice(1)
        return [[name, Object.fromEntries(item.methodsArray.map((method) => [method.name, methodOf(name, method)]))]]
      }
      return item instanceof protobuf.Namespace ? Object.entries(servicesOf(item)) : []
    }),
  )
}

function methodOf(service, { name, requestStream, responseStream, resolvedRequestType, resolvedResponseType }) {
  return {
    path: `/${service}/${name}`,
    requestStream: requestStream === true,
    responseStream: responseStream === true,
    originalName: camelCase(name),
    request: resolvedRequestType.fullName,
    response: resolvedResponseType.fullName,
  }
}
