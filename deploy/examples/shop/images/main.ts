/** `npm run shop -- REGISTRY`: makes the shop's images and pushes them. */
import { GantryError } from '../../../../proto/base/errors.ts'
import { buildShopImages, pushShopImages } from './build.ts'

const [registry] = process.argv.slice(2)
if (registry === undefined || !/^[^/\s]+:\d+$/.test(registry)) {
  process.stderr.write(
    'usage: npm run shop -- HOST:PORT\n\nHOST:PORT is a registry; that of a rig is in what `gantry rig up` and `gantry rig status` print.\n',
  )
  process.exitCode = 2
} else {
  try {
    const images = await buildShopImages({ progress: (text) => void process.stdout.write(`${text}\n`) })
    await pushShopImages(registry, images)
  } catch (thrown) {
    process.stderr.write(`shop: ${GantryError.from(thrown).message}\n`)
    process.exitCode = 1
  }
}
