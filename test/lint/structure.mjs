/**
 * Rules of the linter that keep the house in order (a plugin of oxlint, in the form of ESLint's):
 *
 *   structure/no-circles     a file is in no circle of imports; an `import type` counts, for a reader follows it as well
 *   structure/directions     a folder imports only from those that stand below it in `floors`
 *   structure/syntax         nothing is written that a selector finds: { selector, message } each
 *   structure/comment-width  lines of comments are no longer than so many characters, but for addresses
 *
 * For the first two the tree is read once for each process: 1,700 small files, half a second.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const IMPORT =
  /^(?:import|export)\s[^'"]*?from\s+['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]\s*\)|^import\s+['"](\.[^'"]+)['"]/gm

/** Files below a folder by their path from the root, with the files that each imports. */
export function readImports(root, folders) {
  const imports = new Map()
  const visit = (folder) => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = path.posix.join(folder, entry.name)
      if (entry.isDirectory()) visit(file)
      else if (file.endsWith('.ts')) imports.set(file, importsOf(root, file))
    }
  }
  for (const folder of folders) visit(folder)
  return imports
}

function importsOf(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8')
  const targets = [...text.matchAll(IMPORT)].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare)
  return [...new Set(targets)].map((target) => path.posix.join(path.posix.dirname(file), target))
}

/** Each file that is in a circle, with the circle's files in order (Tarjan's strongly connected components). */
export function circles(imports) {
  const found = new Map()
  const index = new Map()
  const low = new Map()
  const stack = []
  const visit = (file) => {
    index.set(file, index.size)
    low.set(file, index.get(file))
    stack.push(file)
    for (const target of imports.get(file) ?? []) {
      if (!index.has(target)) {
        visit(target)
        low.set(file, Math.min(low.get(file), low.get(target)))
      } else if (stack.includes(target)) low.set(file, Math.min(low.get(file), index.get(target)))
    }
    if (low.get(file) !== index.get(file)) return
    const component = stack.splice(stack.indexOf(file))
    if (component.length > 1 || imports.get(file)?.includes(file))
      for (const member of component) found.set(member, [...component].sort())
  }
  for (const file of imports.keys()) if (!index.has(file)) visit(file)
  return found
}

/** The number of the floor that a file stands on: that of the longest entry which is the file or a folder above it. */
export function floorOf(file, floors) {
  let best = { floor: undefined, room: '' }
  floors.forEach((rooms, floor) => {
    for (const room of rooms)
      if ((file === room || file.startsWith(`${room}/`)) && room.length > best.room.length) best = { floor, room }
  })
  return best
}

/** True if a file may import another: its own room, or a room on a lower floor. Files outside all floors are free. */
export function mayImport(file, target, floors) {
  const from = floorOf(file, floors)
  const to = floorOf(target, floors)
  if (from.floor === undefined || to.floor === undefined || from.room === to.room) return true
  return to.floor < from.floor
}

function forFile(context) {
  const root = context.settings.structure.root
  return { root, file: path.relative(root, context.filename).split(path.sep).join('/') }
}

let known

function knownCircles(root, folders) {
  return (known ??= circles(readImports(root, folders)))
}

function onImports(report) {
  return (context) => {
    const { root, file } = forFile(context)
    const check = (node) => {
      const source = node.source?.value
      if (typeof source !== 'string' || !source.startsWith('.')) return
      report({ context, root, file, node, target: path.posix.join(path.posix.dirname(file), source) })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    }
  }
}

export default {
  meta: { name: 'structure' },
  rules: {
    'no-circles': {
      create: onImports(({ context, root, file, node, target }) => {
        const circle = knownCircles(root, context.settings.structure.folders).get(file)
        if (circle?.includes(target))
          context.report({ node, message: `this import is part of a circle: ${circle.join(', ')}` })
      }),
    },
    directions: {
      create: onImports(({ context, file, node, target }) => {
        const { floors } = context.settings.structure
        if (!mayImport(file, target, floors))
          context.report({
            node,
            message: `${floorOf(file, floors).room} must not import from ${floorOf(target, floors).room}: see test/lint/floors.mjs`,
          })
      }),
    },
    syntax: {
      meta: {
        schema: {
          type: 'array',
          items: { type: 'object', properties: { selector: { type: 'string' }, message: { type: 'string' } } },
        },
      },
      create: (context) =>
        Object.fromEntries(
          context.options.map(({ selector, message }) => [selector, (node) => context.report({ node, message })]),
        ),
    },
    'comment-width': {
      meta: { schema: [{ type: 'integer' }] },
      create: (context) => ({
        Program() {
          const [width] = context.options
          const { lines } = context.sourceCode
          for (const comment of context.sourceCode.getAllComments())
            for (let line = comment.loc.start.line; line <= comment.loc.end.line; line++) {
              const text = lines[line - 1]
              if (text.length > width && !/https?:\/\//.test(text))
                context.report({ node: comment, message: `line ${line} has ${text.length} characters, not ${width}` })
            }
        },
      }),
    },
  },
}
