import { runFixture } from './run';

describe.each(['kernels', 'inference'])('worker threads with %s', (work) => {
  describe.each(['main', 'alone'])('the main thread loads the addon: %s', (main) => {
    test('workers that finish leave no tensor behind', () => {
      expect(runFixture('workers.cjs', [work, 'finish', main])).toEqual({
        code: 0,
        signal: null,
        output: 'done\n',
      });
    }, 120_000);

    test('workers that are terminated in the middle of a job end cleanly', () => {
      expect(runFixture('workers.cjs', [work, 'terminate', main])).toEqual({
        code: 0,
        signal: null,
        output: 'done\n',
      });
    }, 120_000);

    test('process.exit while a worker computes ends cleanly', () => {
      expect(runFixture('workers.cjs', [work, 'processExit', main])).toEqual({
        code: 5,
        signal: null,
        output: '',
      });
    }, 120_000);
  });
});
