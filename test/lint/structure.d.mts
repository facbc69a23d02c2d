import type { ESLint } from 'eslint'

export function readImports(root: string, folders: readonly string[]): Map<string, string[]>
export function circles(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]>
export function floorOf(
  file: string,
  floors: readonly (readonly string[])[],
): { readonly floor: number | undefined; readonly room: string }
export function mayImport(file: string, target: string, floors: readonly (readonly string[])[]): boolean
declare const plugin: ESLint.Plugin
export default plugin
