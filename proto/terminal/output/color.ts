/** Colours, for terminals only. https://no-color.org */
import picocolors from 'picocolors'

export type Palette = Pick<
  ReturnType<typeof picocolors.createColors>,
  'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim'
>

export function palette(
  stream: { isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): Palette {
  const wanted = stream.isTTY === true && (env.NO_COLOR === undefined || env.NO_COLOR === '') && env.TERM !== 'dumb'
  return picocolors.createColors(wanted)
}

const BAD = /BackOff|Lost|Error|Err[A-Z]|OOMKilled|Failed|NotReady|Unknown|Evicted|ExitCode|Signal/
const GOING =
  /Pending|Suspect|ContainerCreating|PodInitializing|Init:|Terminating|SchedulingGated|SchedulingDisabled|Waiting/

/** A status word in the colour of its meaning. */
export function colorStatus(status: string, colors: Palette): string {
  if (BAD.test(status)) return colors.red(status)
  if (GOING.test(status)) return colors.yellow(status)
  return status
}
