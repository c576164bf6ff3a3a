module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: process.platform === 'linux' ? [] : ['/test/build/(elf|gpu)\\.test\\.ts$'],
  transform: { '\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/test/tsconfig.json' }] },
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/dist'],
  // Every file loads libtorch and runs its own threads: two cores are best used by one file at a time.
  maxWorkers: 1,
  testTimeout: 60_000,
};
