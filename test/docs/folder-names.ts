/** Which folders and files the READMEs do not name, and which folders they name that are not there. */
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

/** Folders that the first column of a README's table of folders names, and that are not there. */
export function absentFolders(folders: readonly string[], readmes: ReadonlyMap<string, string>): string[] {
  const there = new Set(folders)
  return [...readmes].flatMap(([folder, text]) =>
    tablesOf(text)
      .filter(([head]) => head![0] === 'folder')
      .flatMap(([, ...rows]) => rows.flatMap(([cell]) => [...cell!.matchAll(/`([^`]+)\/`/g)]))
      .map(([, name]) => path.posix.join(folder, name!))
      .filter((named) => !there.has(named)),
  )
}

/**
 * Files that are not named by the README beside them, though it has a table of its files: with or without `.ts`,
 * wherever it names them. A table that has folders in its first column is about the files of those.
 */
export function unnamedFiles(files: readonly string[], readmes: ReadonlyMap<string, string>): string[] {
  return files.filter((file) => {
    const text = readmes.get(path.posix.dirname(file)) ?? ''
    const hasTable = tablesOf(text).some(
      ([head]) => head![0] !== 'folder' && head!.some((cell) => /^files?$/.test(cell)),
    )
    return hasTable && !new RegExp(`(?<![\\w./-])${path.posix.basename(file, '.ts')}(?![\\w-])`).test(text)
  })
}

/** The tables of a text: rows of cells, the heads first. */
function tablesOf(text: string): string[][][] {
  return [...text.matchAll(/(?:^\|.*\|\n?)+/gm)].map(([table]) =>
    table
      .trim()
      .split('\n')
      .filter((line) => !/^[|-]+$/.test(line))
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      ),
  )
}

/**
 * The folders and files of TypeScript below, with the READMEs of those and of the folders given. Folders without a file
 * are left out.
 */
export function readFolders(
  root: string,
  tops: readonly string[],
): Readonly<{ folders: string[]; files: string[]; readmes: Map<string, string> }> {
  const folders: string[] = []
  const files: string[] = []
  const readmes = new Map<string, string>()
  const visit = (folder: string): boolean => {
    const entries = readdirSync(path.join(root, folder), { withFileTypes: true })
    if (entries.some(({ name }) => name === 'README.md'))
      readmes.set(folder, readFileSync(path.join(root, folder, 'README.md'), 'utf8'))
    for (const { name } of entries) if (name.endsWith('.ts')) files.push(path.posix.join(folder, name))
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
  return { folders: folders.sort(), files: files.sort(), readmes }
}
