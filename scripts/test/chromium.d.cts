/** The browser's program, or undefined. */
export function findChromium(): string | undefined;
/** Why test/browser cannot run, or undefined. */
export function missingChromium(): string | undefined;
