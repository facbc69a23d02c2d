/** `npm run node-image [-- --fresh]`: makes the node image in the Docker engine, and says its name. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../../proto/base/clock.ts'
import { openEngine } from '../docker-engine.ts'
import { ensureNodeImage } from './node-image.ts'

const {
  values: { fresh },
} = parseArgs({ options: { fresh: { type: 'boolean', default: false } } })
const began = systemClock.monotonic()
const { docker } = await openEngine()
const image = await ensureNodeImage(docker, {
  root: resolve(import.meta.dirname, '../..'),
  fresh,
  progress: (text) => process.stderr.write(`${text}\n`),
})
const { Size } = await docker.getImage(image).inspect()
process.stdout.write(
  `${image}  ${Math.round(Size / 1e6)} MB  ${((systemClock.monotonic() - began) / 1000).toFixed(1)} s\n`,
)
