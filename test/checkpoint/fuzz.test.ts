import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { categoryOf } from '../../lib/checkpoint/codes';

interface File {
  name: string;
  bytes: Buffer;
}

interface Random {
  next(): number;
  below(limit: number): number;
}

const mutations = require('./mutations.cjs') as {
  generator(seed: number): Random;
  seedsOf(files: readonly File[]): { name: string }[];
  mutate(random: Random, seeds: readonly unknown[], index: number): { bytes: Buffer; done: string[] };
};

const GOLDENS = join(__dirname, '..', 'goldens', 'checkpoint');

function readableFiles(): File[] {
  return readdirSync(GOLDENS)
    .filter((name) => !name.startsWith('bad_'))
    .map((name) => {
      const file = /"file":\s*"([^"]+)"/.exec(readFileSync(join(GOLDENS, name, 'case.json'), 'utf8'))![1]!;
      return { name, bytes: readFileSync(join(GOLDENS, name, file)) };
    });
}

function readEverything(bytes: Buffer): void {
  const checkpoint = Checkpoint.fromBytes(bytes);
  checkpoint.inspect();
  for (const entry of checkpoint.stateDict({ raw: true })) entry.bytes();
  checkpoint.stateDict();
}

/** 6,000 of the 200,000 cases of scripts/fuzz-checkpoint.mjs. */
test('mutated files are read or refused with a listed code, quickly', () => {
  const seeds = mutations.seedsOf(readableFiles());
  const random = mutations.generator(20260101);
  const wrong: unknown[] = [];
  let accepted = 0;
  for (let i = 0; i < 6000; i++) {
    const { bytes, done } = mutations.mutate(random, seeds, i % seeds.length);
    const start = process.cpuUsage();
    try {
      readEverything(bytes);
      accepted += 1;
    } catch (error) {
      const { code = '' } = error as { code?: string };
      if (categoryOf(code) === undefined && code !== 'ERR_CHECKPOINT_AMBIGUOUS') {
        wrong.push({ i, seed: seeds[i % seeds.length]!.name, done, error });
      }
    }
    const milliseconds = process.cpuUsage(start).user / 1000;
    if (milliseconds > 1000) wrong.push({ i, seed: seeds[i % seeds.length]!.name, done, milliseconds });
  }
  expect(wrong).toEqual([]);
  expect(accepted).toBeGreaterThan(0);
});
