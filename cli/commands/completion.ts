/** `gantry completion`: a script that lets a shell complete commands, kinds and names by asking `gantry __complete`. */
import { defineCommand } from '../../proto/terminal/command.ts'
import { UsageError } from '../../proto/client/failures.ts'

const SCRIPTS: Record<string, string> = {
  bash: `# gantry completion for bash: source <(gantry completion bash)
_gantry() {
  local IFS=$'\\n'
  COMPREPLY=( $(gantry __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
  if [[ \${#COMPREPLY[@]} -eq 1 && ( \${COMPREPLY[0]} == */ || \${COMPREPLY[0]} == *= ) ]]; then
    compopt -o nospace
  fi
}
complete -o default -F _gantry gantry
`,
  zsh: `#compdef gantry
# gantry completion for zsh: source <(gantry completion zsh)
_gantry() {
  local -a lines
  lines=("\${(@f)$(gantry __complete --descriptions -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -z "\${lines[1]}" ]]; then
    _files
    return
  fi
  local -a described
  local line
  for line in $lines; do
    described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe 'gantry' described
}
compdef _gantry gantry
`,
  fish: `# gantry completion for fish: gantry completion fish | source
function __gantry_complete
  set -l words (commandline -opc) (commandline -ct)
  gantry __complete --descriptions -- $words[2..] 2>/dev/null
end
complete -c gantry -f -a '(__gantry_complete)'
complete -c gantry -s f -l filename -r -F
`,
}

export default defineCommand({
  usage: '(bash | zsh | fish)',
  summary: 'print a completion script for a shell',
  examples: ['source <(gantry completion bash)', 'gantry completion fish | source'],
  flags: {},
  completes: 'none',
  async run({ args, environment }) {
    const script = SCRIPTS[args[0] ?? '']
    if (args.length !== 1 || script === undefined)
      throw new UsageError(
        args.length === 0 ? 'for which shell?' : `"${args.join(' ')}" is not a shell that is known`,
        `it is ${Object.keys(SCRIPTS).join(', ')}`,
      )
    environment.stdout.write(script)
  },
})
