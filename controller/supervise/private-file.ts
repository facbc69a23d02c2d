/** Files that only the controller's own user can read. */
import { open, rename } from 'node:fs/promises'

/** Writes a file of mode 0600 whole: after a crash it is the old one or the new one. */
export async function writePrivate(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.chmod(0o600)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}
