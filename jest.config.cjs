const { notHere } = require('./scripts/test/not-here.cjs');

module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: Object.keys(notHere(__dirname)).map((file) => `/${file.replaceAll('.', '\\.')}$`),
  transform: { '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/test/tsconfig.json' }] },
  // The modules of the server's page name each other as browsers want it.
  moduleNameMapper: { '^(\\./[a-z-]+)\\.js$': ['$1.ts', '$1.js'] },
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/dist'],
  // Every file loads libtorch and runs its own threads: two cores are best used by one file at a time.
  maxWorkers: 1,
  testTimeout: 60_000,
};
