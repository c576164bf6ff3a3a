import { runFixture } from './run';

describe.each(['kernels', 'inference'])('given %s at work', (work) => {
  test.each([
    ['nothing is done', 'wait', 0, null],
    ['process.exit is called', 'exit', 3, null],
    ['an error is thrown', 'throw', 1, null],
    ['SIGTERM arrives', 'sigterm', null, 'SIGTERM'],
  ] as const)(
    'when %s, then the process ends cleanly',
    (_what, how, code, signal) => {
      for (let round = 0; round < 3; ++round) {
        const ending = runFixture('end.cjs', [work, how]);
        expect([ending.code, ending.signal, how === 'throw' ? '' : ending.output]).toEqual([
          code,
          signal,
          '',
        ]);
        if (how === 'throw') expect(ending.output).toContain('Error: planned');
      }
    },
    120_000,
  );
});
