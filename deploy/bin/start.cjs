/**
 * Starts a program of dist/, or says how to build it. These files are committed, so that npm, which links programs once
 * and remembers a package without them, links them in a clone that is not built yet, too. Plain old JavaScript: an old
 * Node.js must be able to read it as well.
 */
const { existsSync } = require('node:fs')
const { join } = require('node:path')

const root = join(__dirname, '../..')

module.exports = function start(name) {
  const program = join(root, 'dist', name + '.cjs')
  // The launcher in dist/ is written before what it loads; `complete` says that the build came to its end.
  if (existsSync(join(root, 'dist/complete'))) return require(program)
  process.stderr.write(
    'error: ' +
      name +
      ' is not built yet in ' +
      root +
      '\n\n' +
      'Run one of these there:\n' +
      '  npm run up                # builds, and starts a cluster here (as root)\n' +
      '  npm run setup             # builds, and installs what is missing (as root)\n' +
      '  npm ci && npm run build   # only builds\n',
  )
  process.exitCode = 1
}
