import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version in the package's package.json; dist/cli and lib/cli both lie two levels below it. */
export function version(): string {
  const file = join(__dirname, '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
