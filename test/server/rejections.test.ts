import { Rejections } from '../../lib/server/rejections';

test('a few refusals are answered at once, those of a crowd are held', () => {
  const rejections = new Rejections(() => 5000);
  const holds = Array.from({ length: 70 }, () => rejections.add());
  expect(holds.slice(0, 64)).toEqual(new Array(64).fill(0));
  expect(holds.slice(64)).toEqual(new Array(6).fill(1000));
});

test('the next second begins anew', () => {
  let now = 0;
  const rejections = new Rejections(() => now);
  for (let i = 0; i < 65; i += 1) rejections.add();
  now = 999;
  expect(rejections.add()).toBe(1000);
  now = 1000;
  expect(rejections.add()).toBe(0);
});
