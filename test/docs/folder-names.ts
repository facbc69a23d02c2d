/** Which folders the READMEs above them do not name. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/**
 * Folders that are not named by the nearest README above them, in the form `NAME/`. `readmes`: texts by the folders
 * that they stand in. A folder above which there is none counts as named.
 */
export function unnamedFolders(folders: readonly string[], readmes: ReadonlyMap<string, string>): string[] {
  return folders.filter((folder) => {
    const above = folderOfReadme(path.posix.dirname(folder), readmes)
    return above !== undefined && !names(readmes.get(above)!, path.posix.relative(above, folder))
  })
}

function folderOfReadme(folder: string, readmes: ReadonlyMap<string, string>): string | undefined {
  if (readmes.has(folder)) return folder
  return folder === '.' ? undefined : folderOfReadme(path.posix.dirname(folder), readmes)
}

/** `a/b` is named by "b/", "a/b/" and "`b/c.ts`"; not by "bb/", nor by "x/b/", which may be another. */
function names(text: string, folder: string): boolean {
  const steps = folder.split('/')
  const ends = steps.map((_, index) => steps.slice(index).join('/'))
  return new RegExp(`(?<![\\w./-])(${ends.join('|')})/`).test(text)
}

/** The folders below, with the READMEs of those and of the folders given. Folders without a file are left out. */
export function readFolders(
  root: string,
  tops: readonly string[],
): { readonly folders: string[]; readonly readmes: Map<string, string> } {
  const folders: string[] = []
  const readmes = new Map<string, string>()
  const visit = (folder: string): boolean => {
    const entries = readdirSync(path.join(root, folder), { withFileTypes: true })
    if (entries.some(({ name }) => name === 'README.md'))
      readmes.set(folder, readFileSync(path.join(root, folder, 'README.md'), 'utf8'))
    let hasFiles = entries.some((entry) => entry.isFile())
    for (const entry of entries.filter((child) => child.isDirectory())) {
      const child = path.posix.join(folder, entry.name)
      if (!visit(child)) continue
      hasFiles = true
      folders.push(child)
    }
    return hasFiles
  }
  for (const top of tops) visit(top)
  return { folders: folders.sort(), readmes }
}
