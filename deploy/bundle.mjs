// One file per program in dist/: fewer files to read makes a program start sooner and weigh less.
import { build } from 'esbuild'
import { chmodSync, readFileSync } from 'node:fs'

const programs = { gantry: 'cli/main.ts', 'gantry-controller': 'controller/main.ts', 'gantry-agent': 'agent/main.ts', 'gantry-rig': 'deploy/rig/main.ts' }
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

await build({
  entryPoints: Object.fromEntries(Object.entries(programs).map(([name, source]) => [name, source])),
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minifyWhitespace: true,
  sourcemap: 'linked',
  banner: { js: '#!/usr/bin/env node' },
  define: { GANTRY_VERSION: JSON.stringify(version), 'import.meta.dirname': '__dirname' },
  // Optional accelerators of its dependencies, which are not installed.
  external: ['pg-hstore', 'bufferutil', 'utf-8-validate'],
  logLevel: 'warning',
})
for (const name of Object.keys(programs)) chmodSync(`dist/${name}.cjs`, 0o755)
