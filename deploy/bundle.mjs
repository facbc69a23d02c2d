// One file per program in dist/: fewer files to read makes a program start sooner and weigh less.
import { build } from 'esbuild'
import { execFileSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { etcdServices } from './etcd-services.mjs'

/**
 * Programs that a person or a machine starts: `launch.ts` under their name loads the bundle beside it with a code
 * cache.
 */
const programs = {
  gantry: 'cli/main.ts',
  'gantry-controller': 'controller/main.ts',
  'gantry-agent': 'agent/main.ts',
  'gantry-rig': 'deploy/rig/main.ts',
}
/** Small ones, which those start. */
const assistants = {
  'gantry-netcheck': 'agent/streams/netcheck/program.ts',
  'gantry-fault': 'deploy/rig/faults/program/main.ts',
}
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

// Commander starts programs only for commands that are programs of their own, of which there are none here; what it
// would start them with takes longer to load than all of commander.
const withoutChildProcess = {
  name: 'without-child-process',
  setup({ onLoad }) {
    onLoad({ filter: /commander[\\/]lib[\\/]command\.js$/ }, ({ path }) => {
      const before = readFileSync(path, 'utf8')
      const contents = before.replace("const childProcess = require('node:child_process');", '')
      if (contents === before) throw new Error(`${path} no longer loads node:child_process so`)
      return { contents }
    })
  },
}

const options = {
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  plugins: [etcdServices, withoutChildProcess],
  define: { GANTRY_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
  // Optional accelerators of its dependencies, which are not installed; and what only users of Docker need.
  external: ['pg-hstore', 'bufferutil', 'utf-8-validate', 'testcontainers'],
  logLevel: 'warning',
  // Out of a code cache nothing can be imported; `import()` of what is not in the bundle becomes `require`.
  supported: { 'dynamic-import': false },
}
const executable = { banner: { js: '#!/usr/bin/env node' } }
const named = (suffix, source) =>
  Object.fromEntries(Object.keys(programs).map((name) => [`${name}${suffix}`, source ?? programs[name]]))
rmSync('dist/complete', { force: true })
await build({ ...options, ...executable, entryPoints: { ...named('', 'deploy/launch.ts'), ...assistants } })
const { 'gantry-main': gantry, ...others } = named('-main')
// As a function, so that the launcher need not copy megabytes to make it one.
const callable = {
  banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
  footer: { js: '})' },
}
await build({ ...options, ...callable, entryPoints: others })
await build({ ...options, ...callable, entryPoints: { 'gantry-main': gantry }, minify: true })
// Threads of the agent and the controller, which have nothing else of theirs.
await build({
  ...options,
  entryPoints: { 'gantry-resolver': 'agent/dns/main.ts', 'gantry-yaml': 'controller/kube/yaml/main.ts' },
})
// What other projects import; the hooks share the library's classes, so that an error of the one is an error of the
// other.
const sharedLibrary = {
  name: 'shared-library',
  setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/index\.ts$/ }, () => ({ path: './rig.cjs', external: true })),
}
const libraries = {
  'rig-mocha': 'deploy/rig/testing/mocha.ts',
  'rig-testcontainers': 'deploy/rig/testing/gantry-container.ts',
}
await build({ ...options, entryPoints: { rig: 'deploy/rig/index.ts' } })
await build({ ...options, entryPoints: libraries, plugins: [...options.plugins, sharedLibrary] })
for (const name of [...Object.keys(programs), ...Object.keys(assistants)]) chmodSync(`dist/${name}.cjs`, 0o755)
for (const name of Object.keys(programs)) asciiOnly(`dist/${name}-main.cjs`)
rmSync('dist/cache', { recursive: true, force: true })
// What all starts of a program have in common is compiled here; commands add their own.
for (const [name, flag] of [
  ['gantry-controller', '--version'],
  ['gantry-agent', '--version'],
  ['gantry-rig', '--help'],
  ['gantry', '--help'],
])
  execFileSync(process.execPath, [`dist/${name}.cjs`, flag])
// What tells `deploy/setup` that a build came to its end, and when.
writeFileSync('dist/complete', '')

/**
 * esbuild leaves other characters in regular expressions and template literals; the launcher reads one byte a
 * character.
 */
function asciiOnly(file) {
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  )
}
