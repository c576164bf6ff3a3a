// The server that test/bulk runs against: FREQFUSION_REDIS_SERVER, or redis-server on PATH.
const { spawnSync } = require('node:child_process');

const command = process.env.FREQFUSION_REDIS_SERVER ?? 'redis-server';

/** Why test/bulk cannot run, or undefined. BullMQ's scripts and the counts of runs need Redis 6.2. */
function missingRedis() {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  const version = status === 0 ? /v=(\d+)\.(\d+)/.exec(stdout) : null;
  const [major, minor] = version === null ? [0, 0] : [Number(version[1]), Number(version[2])];
  if (major > 6 || (major === 6 && minor >= 2)) return undefined;
  const got = version === null ? 'none' : `version ${major}.${minor}`;
  return `expected redis-server from 6.2 on PATH (FREQFUSION_REDIS_SERVER, or apt-get install redis-server), got ${got}`;
}

module.exports = { command, missingRedis };
