export function readImports(root: string, folders: readonly string[]): Map<string, string[]>
export function circles(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]>
export function floorOf(
  file: string,
  floors: readonly (readonly string[])[],
): { readonly floor: number | undefined; readonly room: string }
export function mayImport(file: string, target: string, floors: readonly (readonly string[])[]): boolean

/** What oxlint hands to a rule: of it, what these rules use. */
export interface RuleContext {
  readonly filename: string
  readonly settings: { readonly structure: object }
  report(finding: { readonly message: string }): void
}

declare const plugin: {
  readonly rules: Readonly<
    Record<'no-circles' | 'directions', { create(context: RuleContext): Record<string, (node: object) => void> }>
  >
}
export default plugin
