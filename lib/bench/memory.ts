import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Starts a new count of the process's peak memory. Linux can; elsewhere {@link peakRss} stays the peak since the start,
 * and this returns false.
 */
export function resetPeakRss(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return true;
  } catch {
    return false;
  }
}

/** Greatest resident memory of this process since {@link resetPeakRss}, in bytes. */
export function peakRss(): number {
  try {
    const match = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (match !== null) return Number(match[1]) * 1024;
  } catch {
    // No /proc: the count since the start of the process.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** Memory that a program can still get without swapping, in bytes; undefined where the system does not tell. */
export function availableMemory(): number | undefined {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'));
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}
