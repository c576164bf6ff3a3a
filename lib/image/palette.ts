import type { Rgb } from './types';

/**
 * Colours for classes that come without any: the golden angle spreads the hues, three bands of lightness and two of
 * saturation keep neighbours apart. The same count always gives the same colours, and a longer palette begins with
 * the shorter one.
 */
export function makePalette(count: number): Rgb[] {
  return Array.from({ length: count }, (_, index) => {
    const hue = (index * 137.50776405) % 360;
    const lightness = [0.52, 0.66, 0.4][index % 3]!;
    const saturation = index % 2 === 0 ? 0.72 : 0.5;
    return fromHsl(hue, saturation, lightness);
  });
}

/** A class's colour for its next instance: the colour itself, then lighter and darker ones that stay near to it. */
export function instanceColor(color: Rgb, index: number): Rgb {
  const share = [0, 0.35, -0.3, 0.6, -0.5][index % 5]!;
  const towards = share < 0 ? 0 : 255;
  const mix = (channel: number) => Math.round(channel + (towards - channel) * Math.abs(share));
  return [mix(color[0]), mix(color[1]), mix(color[2])];
}

function fromHsl(hue: number, saturation: number, lightness: number): Rgb {
  const spread = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (lightness - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
