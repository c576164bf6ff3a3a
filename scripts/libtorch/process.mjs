import { spawn } from 'node:child_process';

/**
 * Runs a command and resolves to {status, stdout, stderr}; status is undefined where it could not be started.
 * `onLine` sees every line of both streams as it comes; returning false from it ends the command.
 */
export function runCommand(command, args, { onLine, ...options } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const output = { stdout: '', stderr: '' };
    const pending = { stdout: '', stderr: '' };
    let stopped = false;
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8');
      child[stream].on('data', (text) => {
        output[stream] += text;
        if (onLine === undefined || stopped) return;
        const lines = (pending[stream] + text).split('\n');
        pending[stream] = lines.pop();
        if (lines.some((line) => onLine(line) === false)) {
          stopped = true;
          child.kill();
        }
      });
    }
    child.on('error', (error) => resolve({ ...output, error, status: undefined, stopped }));
    child.on('close', (status, signal) => resolve({ ...output, status, signal, stopped }));
  });
}

/**
 * Runs a command on this terminal and resolves to its exit status; with a piped output, `onOutput` sees it. Not spawnSync: the lock that its caller holds is
 * kept alive by a timer.
 */
export function runAttached(command, args, { onOutput, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options });
    if (onOutput !== undefined) child.stdout.setEncoding('utf8').on('data', onOutput);
    child.on('error', reject);
    child.on('close', (status) => resolve(status));
  });
}
