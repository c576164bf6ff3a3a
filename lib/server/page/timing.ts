import type { Timing } from './answer.js';
import { element, make } from './elements.js';
import { duration } from './words.js';

/** Lists where the time of an answer went. */
export function showTiming({ queue, decode, inference, total }: Timing, roundTrip: number): void {
  const rows: readonly (readonly [string, number, boolean?])[] = [
    ['Queue', queue],
    ['Decode', decode],
    ['Inference', inference],
    ['Total on the server', total, true],
    ['Round trip', roundTrip],
  ];
  element('timing', HTMLDListElement).replaceChildren(
    ...rows.flatMap(([name, value, sum = false]) => [
      make('dt', sum ? 'sum' : '', name),
      make('dd', sum ? 'sum' : '', duration(value)),
    ]),
  );
}
