const { missingRedis } = require('./scripts/test/redis-server.cjs');

// Files that cannot run here; `npm test` names them (scripts/test/jest.mjs).
const notHere = [
  ...(process.platform === 'linux' ? [] : ['/test/build/(elf|gpu)\\.test\\.ts$']),
  ...(missingRedis() === undefined ? [] : ['/test/bulk/']),
];

module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: notHere,
  transform: { '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/test/tsconfig.json' }] },
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/dist'],
  // Every file loads libtorch and runs its own threads: two cores are best used by one file at a time.
  maxWorkers: 1,
  testTimeout: 60_000,
};
