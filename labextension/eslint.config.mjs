import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['lib', 'node_modules'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      curly: 'error',
      // Null and undefined are one thing to `== null`.
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', ignoreRestSiblings: true }
      ],
      '@typescript-eslint/no-non-null-assertion': 'off'
    }
  },
  // These run in Node and speak to the terminal.
  { files: ['src/**/*.test.ts', 'src/**/testing/*.ts'], rules: { 'no-console': 'off' } }
);
