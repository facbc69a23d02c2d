/** References of probes and tests replaced by what they stand for now. */
import type { ValueTest } from './expectation.ts'
import type { CommandTarget, ObjectSelection, Probe } from './scenario.ts'
import type { Variables } from './variables.ts'

export async function fillProbe(probe: Probe, variables: Variables, round: number): Promise<Probe> {
  const fill = (text: string): Promise<string> => variables.fill(text, round)
  switch (probe.is) {
    case 'objects':
      return { ...probe, objects: await fillSelection(probe.objects, variables, round) }
    case 'command': {
      const place = await fillPlace(probe.place, fill)
      const { command } = probe
      return {
        ...probe,
        place,
        command:
          typeof command === 'string'
            ? `${await variables.shellPrefix(command, round)}${command}`
            : await Promise.all(command.map(fill)),
      }
    }
    case 'text':
      return { ...probe, text: await fill(probe.text) }
    case 'gantry':
      return { ...probe, words: await Promise.all(probe.words.map(fill)) }
    case 'logs':
      return { ...probe, object: await fill(probe.object) }
    case 'http':
      return {
        ...probe,
        address: await fill(probe.address),
        from:
          probe.from.is === 'pods'
            ? { is: 'pods', selector: await fill(probe.from.selector) }
            : probe.from.is === 'machine'
              ? { is: 'machine', name: await fill(probe.from.name) }
              : probe.from,
      }
  }
}

async function fillPlace(place: CommandTarget, fill: (text: string) => Promise<string>): Promise<CommandTarget> {
  switch (place.is) {
    case 'host':
      return place
    case 'machine':
      return { ...place, name: await fill(place.name) }
    case 'pod':
      return { ...place, object: await fill(place.object) }
  }
}

export async function fillSelection(
  selection: ObjectSelection,
  variables: Variables,
  round: number,
): Promise<ObjectSelection> {
  const fill = async (text: string | undefined): Promise<string | undefined> =>
    text === undefined ? undefined : variables.fill(text, round)
  return {
    ...selection,
    name: await fill(selection.name),
    selector: await fill(selection.selector),
    fields: await fill(selection.fields),
  }
}

export async function fillTests(
  tests: readonly ValueTest[],
  variables: Variables,
  round: number,
): Promise<ValueTest[]> {
  return Promise.all(
    tests.map(async (test): Promise<ValueTest> => {
      if (test.is === 'contains' || test.is === 'lacks')
        return { ...test, value: await variables.fill(test.value, round) }
      if ((test.is === 'is' || test.is === 'isNot') && typeof test.value === 'string')
        return { ...test, value: await variables.fill(test.value, round) }
      return test
    }),
  )
}
