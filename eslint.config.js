import tseslint from 'typescript-eslint'

/** What files must not import from, and the direction that this keeps. */
const border = (files, folders, message, ignores = []) => ({
  files,
  ignores,
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: folders.map((folder) => ({ group: [`**/${folder}/**`], message })) },
    ],
  },
})

/**
 * Programs import from proto/ and never from each other. `gantry rig` is a program of its own: what it shares with
 * `gantry` is the cluster's client and the terminal's parts, which only programs with a terminal import.
 */
const borders = [
  border(
    ['controller/**/*.ts'],
    ['agent', 'cli', 'deploy', 'test', 'proto/terminal'],
    'controller/ imports from proto/ only',
  ),
  border(
    ['agent/**/*.ts'],
    ['controller', 'cli', 'deploy', 'test', 'proto/terminal'],
    'agent/ imports from proto/ only',
  ),
  border(['cli/**/*.ts'], ['controller', 'agent', 'deploy', 'test'], 'cli/ imports from proto/ only'),
  border(['deploy/**/*.ts'], ['cli', 'test'], 'what deploy/ shares with cli/ lives in proto/client and proto/terminal'),
  border(
    ['proto/**/*.ts'],
    ['controller', 'agent', 'cli', 'deploy', 'test', 'client', 'terminal'],
    'proto/: base < schema < codec < merge < objects < validation < rpc < client < terminal',
    ['proto/client/**', 'proto/terminal/**'],
  ),
  border(
    ['proto/client/**/*.ts'],
    ['cli', 'deploy', 'terminal'],
    'the client answers with values and knows no terminal',
  ),
  border(['proto/terminal/**/*.ts'], ['cli', 'deploy'], 'what both programs share knows neither of them'),
]

const outside = ['Date.now', 'Math.random'].map((name) => {
  const [object, property] = name.split('.')
  return {
    object,
    property,
    message: `take ${name === 'Date.now' ? 'a Clock' : 'a Random'} through the constructor (proto/base)`,
  }
})

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'proto/gen/', '**/*.mjs', '**/*.cjs', 'eslint.config.js'] },
  ...tseslint.configs.recommended,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval'].map((name) => ({
          name,
          message: 'take a Clock through the constructor (proto/base)',
        })),
      ],
      'no-restricted-properties': ['error', ...outside],
      // Prettier breaks code; this finds comments that it leaves alone. Text in quotes may be longer: it is not torn apart.
      'max-len': [
        'error',
        { code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true },
      ],
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
    },
  },
  ...borders,
  {
    files: ['agent/**'],
    ignores: ['agent/network/node-commands.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...['Literal[value="-batch"]', 'ArrayExpression > Literal[value="-f"] + Literal[value="-"]'].map(
          (selector) => ({
            selector,
            message: 'hand text to ip, bridge and nft by network/node-programs.ts, which takes checked text only',
          }),
        ),
      ],
    },
  },
  // Tests of the Kubernetes face look into whatever JSON came.
  { files: ['test/controller/kube/**'], rules: { '@typescript-eslint/no-explicit-any': 'off' } },
  {
    files: ['proto/base/**', '*/main.ts', 'deploy/**', 'test/**'],
    rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off' },
  },
)
