/** Parts of the text that tells a structure: what the generated code of gen/structures.ts is made of. */

type StructureOf = (value: never) => string

/** What is one value is there, whatever it is. */
export function atom(): string {
  return ','
}

/** '' for an empty map. Keys have their length before them, so that none looks like what stands around it. */
export function map(entries: Readonly<Record<string, never>>, inner: StructureOf): string {
  let structure = ''
  for (const key of Object.keys(entries)) {
    const value: unknown = entries[key]
    structure += `${key.length}:${key}${value === undefined || value === null ? ';' : `{${inner(value as never)}}`}`
  }
  return structure === '' ? '' : `[${structure}]`
}

/** Items of a list that are told apart by some of their fields. */
export function keyed(
  items: readonly never[],
  keysOf: (item: never) => readonly unknown[],
  inner: StructureOf,
): string {
  let structure = '['
  for (const item of items) {
    for (const key of keysOf(item)) {
      // Of one type each; what is absent counts as one value, whatever that is.
      const text = key === undefined || key === null ? '' : String(key as string | number)
      structure += `${key === undefined || key === null ? '?' : text.length}:${text}`
    }
    structure += `{${inner(item)}}`
  }
  return `${structure}]`
}

/** The values of a set. */
export function values(items: readonly unknown[]): string {
  const text = JSON.stringify(items)
  return `[${text.length}:${text}]`
}
