/** Where progress and logs go. Results go to stdout and are printed by commands alone. */
export interface Log {
  /** Something a user wants to know. */
  info(message: string): void;
  /** Something a user should look at; the work goes on. */
  warn(message: string): void;
}

/** Writes to stderr, one line a message. */
export const stderrLog: Log = {
  info: (message) => void process.stderr.write(`${message}\n`),
  warn: (message) => void process.stderr.write(`warning: ${message}\n`),
};

/** Drops everything: for tests and for callers that print a result only. */
export const silentLog: Log = { info: () => undefined, warn: () => undefined };
