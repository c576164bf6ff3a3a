import { typeCheck } from './commands';

// The consumers name the package by its own name, which resolves through "exports" to dist/.
test('the types serve ES modules and CommonJS under node16 resolution', () => {
  expect(typeCheck('test/types')).toBe('');
});

test('the types serve ES modules under a bundler', () => {
  expect(typeCheck('test/types/tsconfig.bundler.json')).toBe('');
});
