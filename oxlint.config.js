import { readdirSync, readFileSync } from 'node:fs'
import { defineConfig } from 'oxlint'
import { floors } from './test/lint/floors.mjs'

/** What files must not import from, and the direction that this keeps. */
const border = (files, folders, message, ignores = []) => ({
  files,
  excludeFiles: ignores,
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
  border(['proto/**/*.ts'], ['controller', 'agent', 'cli', 'deploy', 'test'], 'proto/ knows no program'),
]

/** What stands behind the door, by where it comes from: all of it, or all but what a face may name. */
const behindTheDoor = [
  { from: '(store|dispatch|scheduler|election|reconcile|runner|nodehealth|supervise|traffic)/' },
  { from: 'api/(objects|object-writer|consistent-reads|plugins|object-admission)' },
  { from: 'api/contract', importNames: ['ObjectApi', 'EventSink'] },
  { from: 'informer/', allowImportNames: ['CachedObject'] },
  { from: 'events/contract', allowImportNames: ['isDeletion', 'EventQuery', 'NamedEvent'] },
  { from: 'events/(nats|named-events|reader|recorder|memory|stream)' },
].map(({ from, ...names }) => ({
  regex: `^(\\.\\./)+${from}`,
  ...names,
  message: 'a face acts by an AuthorizedRequest only: ask at the door (controller/requests)',
}))

/** A face decodes, asks at the door and encodes: it holds nothing by which it could go past it. */
const faces = {
  files: ['controller/grpc/**/*.ts', 'controller/kube/**/*.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      { patterns: [...borders[0].rules['no-restricted-imports'][1].patterns, ...behindTheDoor] },
    ],
  },
}

/** Time and chance are handed to whoever needs them: what reads the system's own, and what to do instead. */
const CLOCK = 'take a Clock through the constructor (proto/base)'
const RANDOM = 'take a Random through the constructor (proto/base)'
const outsideProperties = [
  ['Date', 'now', CLOCK],
  ['performance', 'now', CLOCK],
  ['process', 'hrtime', CLOCK],
  ['AbortSignal', 'timeout', CLOCK],
  ['Math', 'random', RANDOM],
].map(([object, property, message]) => ({ object, property, message }))
const outsideSyntax = [
  ['ImportSpecifier[imported.name="systemClock"]', CLOCK],
  ['ImportSpecifier[imported.name="systemRandom"]', RANDOM],
  // setImmediate lets others have their turn, whatever the time is.
  ['ImportDeclaration[source.value=/^(node:)?timers/] > ImportSpecifier[imported.name!="setImmediate"]', CLOCK],
  ['ImportDeclaration[source.value=/^(node:)?perf_hooks$/]', CLOCK],
  ['NewExpression[callee.name="Date"][arguments.length=0]', CLOCK],
  ['CallExpression[callee.name="Date"]', CLOCK],
].map(([selector, message]) => ({ selector, message }))
/** Programs, and what lies outside of a component or works with it. */
const outside = [
  'proto/base/**',
  '**/main.ts',
  'agent/streams/netcheck/program.ts',
  'proto/terminal/process-environment.ts',
  // The library of gRPC compares deadlines with the system's time, and what stands in for it does so too.
  'proto/rpc/rpc.ts',
  'proto/rpc/light/connect.ts',
  'controller/store/etcd-connection.ts',
  // The age of a lock file is the file system's affair.
  'proto/client/context-changes.ts',
  'deploy/**',
  'test/**',
]

/** What is handed to ip, bridge and nft as text. */
const programText = ['Literal[value="-batch"]', 'ArrayExpression > Literal[value="-f"] + Literal[value="-"]'].map(
  (selector) => ({
    selector,
    message: 'hand text to ip, bridge and nft by network/node-commands.ts, which takes checked text only',
  }),
)

/** Every kind that the schema has, virtual ones aside, which are messages of requests. */
const protos = new URL('proto/gantry/v1/', import.meta.url)
const kinds = readdirSync(protos).flatMap((file) =>
  [
    ...readFileSync(new URL(file, protos), 'utf8').matchAll(
      /^message (\w+) \{\n(?:  option \(definition\).*\n)?  option \(resource\) = \{(.*)\};/gm,
    ),
  ].flatMap(([, name, options]) => (options.includes('virtual: true') ? [] : [name])),
)
/** Code that is written for all kinds alike. What it must know of one is in the schema or in the kind's strategy. */
const generic = {
  files: [
    'controller/api/*.ts',
    'controller/objects/*.ts',
    'controller/informer/**/*.ts',
    'controller/requests/**/*.ts',
    'controller/kube/*.ts',
    'controller/kube/{discovery,openapi,resources}/**/*.ts',
  ],
  excludeFiles: [
    // What is about one kind by its nature: namespaces hold objects, pods are bound and made of templates, nodes have
    // leases.
    'controller/objects/pod-specs.ts',
    'controller/api/{namespace-check,participant,pod-writes}.ts',
    'controller/requests/{authorized-request,custom-definitions,node-leases}.ts',
    'controller/kube/status.ts',
    'controller/kube/resources/binding.ts',
  ],
  rules: {
    'structure/syntax': [
      'error',
      ...outsideSyntax,
      {
        selector: `Literal[value=/^(${kinds.join('|')})$/]`,
        message: 'generic code names no kind: see docs/adding-a-kind.md',
      },
    ],
  },
}

/** What typescript-eslint recommends. */
const recommended = Object.fromEntries(
  [
    'no-array-constructor',
    'no-unused-expressions',
    'no-var',
    'prefer-const',
    'prefer-rest-params',
    'prefer-spread',
    'typescript/ban-ts-comment',
    'typescript/no-duplicate-enum-values',
    'typescript/no-empty-object-type',
    'typescript/no-explicit-any',
    'typescript/no-extra-non-null-assertion',
    'typescript/no-misused-new',
    'typescript/no-namespace',
    'typescript/no-non-null-asserted-optional-chain',
    'typescript/no-require-imports',
    'typescript/no-this-alias',
    'typescript/no-unnecessary-type-constraint',
    'typescript/no-unsafe-declaration-merging',
    'typescript/no-unsafe-function-type',
    'typescript/no-wrapper-object-types',
    'typescript/prefer-as-const',
    'typescript/prefer-namespace-keyword',
    'typescript/triple-slash-reference',
  ].map((rule) => [rule, 'error']),
)

export default defineConfig({
  plugins: ['typescript'],
  jsPlugins: ['./test/lint/structure.mjs'],
  categories: { correctness: 'off' },
  options: { typeAware: true, typeCheck: true },
  ignorePatterns: ['**/*.mjs', '**/*.cjs', '**/*.js'],
  settings: {
    structure: {
      root: import.meta.dirname,
      folders: ['proto', 'controller', 'agent', 'cli', 'deploy', 'test'],
      floors,
    },
  },
  rules: {
    ...recommended,
    'structure/no-circles': 'error',
    'structure/directions': 'error',
    'structure/syntax': ['error', ...outsideSyntax],
    'structure/comment-width': ['error', 120],
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: false }],
    'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    'no-restricted-globals': [
      'error',
      ...['setTimeout', 'setInterval'].map((name) => ({
        name,
        message: 'take a Clock through the constructor (proto/base)',
      })),
    ],
    'no-restricted-properties': ['error', ...outsideProperties],
    eqeqeq: 'error',
    'no-empty': ['error', { allowEmptyCatch: false }],
  },
  overrides: [
    ...borders,
    faces,
    generic,
    {
      files: outside,
      rules: { 'no-restricted-globals': 'off', 'no-restricted-properties': 'off', 'structure/syntax': 'off' },
    },
    {
      files: ['agent/**'],
      excludeFiles: ['agent/network/node-commands.ts', ...outside],
      rules: { 'structure/syntax': ['error', ...outsideSyntax, ...programText] },
    },
    {
      files: outside.filter((files) => files.startsWith('agent/')).concat('agent/**/main.ts'),
      rules: { 'structure/syntax': ['error', ...programText] },
    },
    // Tests of the Kubernetes face look into whatever JSON came.
    { files: ['test/controller/kube/**'], rules: { 'typescript/no-explicit-any': 'off' } },
    // A test may look at some of the members of a union.
    {
      files: ['test/**'],
      rules: { 'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }] },
    },
    // Generated code is checked for its types.
    {
      files: ['proto/gen/**'],
      rules: Object.fromEntries(
        [...Object.keys(recommended), 'no-unused-vars', 'eqeqeq', 'no-empty', 'structure/comment-width'].map((rule) => [
          rule,
          'off',
        ]),
      ),
    },
  ],
})
