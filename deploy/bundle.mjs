// One file per program in dist/: fewer files to read makes a program start sooner and weigh less.
import { build } from 'esbuild'
import { chmodSync, cpSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const programs = { gantry: 'cli/launch.ts', 'gantry-controller': 'controller/main.ts', 'gantry-agent': 'agent/main.ts', 'gantry-netcheck': 'agent/streams/netcheck/program.ts', 'gantry-rig': 'deploy/rig/main.ts', 'gantry-fault': 'deploy/rig/faults/program/main.ts' }
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

// etcd3 reads its schema from beside its own files; in a bundle that is beside the bundle.
const etcd3 = dirname(createRequire(import.meta.url).resolve('etcd3/package.json'))
const etcdSchema = {
  name: 'etcd-schema',
  setup({ onLoad }) {
    onLoad({ filter: /etcd3[\\/]lib[\\/]connection-pool\.js$/ }, ({ path }) => {
      const before = readFileSync(path, 'utf8')
      const contents = before.replace('../proto/rpc.proto', './etcd/rpc.proto')
      if (contents === before) throw new Error(`${path} no longer names ../proto/rpc.proto`)
      return { contents }
    })
  },
}
cpSync(join(etcd3, 'proto'), 'dist/etcd', { recursive: true })

const options = {
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  plugins: [etcdSchema],
  define: { GANTRY_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
  // Optional accelerators of its dependencies, which are not installed; and what only users of Docker need.
  external: ['pg-hstore', 'bufferutil', 'utf-8-validate', 'testcontainers'],
  logLevel: 'warning',
}
await build({ ...options, entryPoints: programs, banner: { js: '#!/usr/bin/env node' }, external: [...options.external, './gantry-cli.cjs'] })
await build({ ...options, entryPoints: { 'gantry-cli': 'cli/main.ts' }, minify: true })
// A thread of the agent, which has nothing of the agent's.
await build({ ...options, entryPoints: { 'gantry-resolver': 'agent/dns/main.ts' } })
// What other projects import; the hooks share the library's classes, so that an error of the one is an error of the other.
const sharedLibrary = { name: 'shared-library', setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/index\.ts$/ }, () => ({ path: './rig.cjs', external: true })) }
const libraries = { 'rig-mocha': 'deploy/rig/testing/mocha.ts', 'rig-testcontainers': 'deploy/rig/testing/gantry-container.ts' }
await build({ ...options, entryPoints: { rig: 'deploy/rig/index.ts' } })
await build({ ...options, entryPoints: libraries, plugins: [...options.plugins, sharedLibrary] })
rmSync('dist/gantry-cli.cjs.cache', { force: true })
for (const name of Object.keys(programs)) chmodSync(`dist/${name}.cjs`, 0o755)
