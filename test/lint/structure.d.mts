import type { ESLint } from 'eslint'

export function circles(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]>
export function mayImport(file: string, target: string, floors: readonly (readonly string[])[]): boolean
declare const plugin: ESLint.Plugin
export default plugin
