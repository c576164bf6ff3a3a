import type { LabelMap } from './labels';
import type { Rgb } from './types';

/** How much of an image one class covers. */
export interface ClassArea {
  readonly index: number;
  readonly name: string;
  readonly color: Rgb;
  readonly pixels: number;
  /** Part of the image, 0 to 1. */
  readonly share: number;
}

/** A label map with the names and colours of its classes. */
export interface NamedLabelMap extends LabelMap {
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
}

/** Pixels and share of every class that a label map has, the largest first. */
export function classAreas({ labels, classes, palette }: NamedLabelMap): readonly ClassArea[] {
  const counts = new Float64Array(classes.length);
  for (let i = 0; i < labels.length; i++) counts[labels[i]!]! += 1;
  return classes
    .map((name, index) => {
      const pixels = counts[index]!;
      return { index, name, color: palette[index]!, pixels, share: pixels / labels.length };
    })
    .filter(({ pixels }) => pixels > 0)
    .sort((a, b) => b.pixels - a.pixels || a.index - b.index);
}

/** The shares by class index, 0 for classes that are not there. */
export function classShares(areas: readonly ClassArea[], classes: number): number[] {
  const shares = new Array<number>(classes).fill(0);
  for (const { index, share } of areas) shares[index] = share;
  return shares;
}

/** Labels as runs in row-major order: label, length, label, length, ... */
export function labelRuns(labels: LabelMap['labels']): number[] {
  const runs: number[] = [];
  for (let start = 0; start < labels.length; ) {
    const label = labels[start]!;
    let end = start + 1;
    while (end < labels.length && labels[end] === label) end++;
    runs.push(label, end - start);
    start = end;
  }
  return runs;
}
