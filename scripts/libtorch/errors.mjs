/** Every way in which finding or fetching libtorch can fail, with the exit code that `npm run setup` ends with. */
export const EXIT_CODES = {
  ERR_SETUP_NO_PYTHON: 10,
  ERR_SETUP_NO_PIP: 11,
  ERR_SETUP_NO_WHEEL: 12,
  ERR_SETUP_DOWNLOAD: 13,
  ERR_SETUP_WHEEL_TOO_LARGE: 14,
  ERR_SETUP_CHECKSUM: 15,
  ERR_SETUP_NO_SPACE: 16,
  ERR_SETUP_TOO_OLD: 17,
  ERR_SETUP_CACHE_UNWRITABLE: 18,
  ERR_SETUP_NOT_LIBTORCH: 19,
  ERR_SETUP_BUSY: 20,
};

/** A failure that the user can mend: the message says what was expected, what was there, and the way out. */
export class SetupError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'SetupError';
    this.code = code;
    this.exitCode = EXIT_CODES[code];
  }
}

/** Ends a script on one line for a failure that is understood, and with the stack for one that is not. */
export function exitWith(error) {
  const worded = error.constructor === Error && error.code === undefined;
  process.exitCode = error instanceof SetupError ? error.exitCode : 1;
  if (error instanceof SetupError) console.error(`error ${error.code}: ${error.message}`);
  else if (worded) console.error(`error: ${error.message}`);
  else console.error(error);
}
