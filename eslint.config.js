import tseslint from 'typescript-eslint'

const programs = ['controller', 'agent', 'cli']

/** controller/, agent/ and cli/ import from proto/ and never from each other. */
const borders = programs.map((program) => ({
  files: [`${program}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [...programs.filter((other) => other !== program), 'deploy', 'test'].map((other) => ({
          group: [`**/${other}/**`],
          message: `${program}/ imports from proto/ only`,
        })),
      },
    ],
  },
}))

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
