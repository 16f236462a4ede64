import { fitToTerminal } from "./format.js";

/** Where progress and logs go. Results go to stdout and are printed by commands alone. */
export interface Log {
  /**
   * Something a user wants to know.
   *
   * @param brief what a terminal shows that has not the columns for all of it
   */
  info(message: string, brief?: string): void;
  /** Something a user should look at; the work goes on. */
  warn(message: string): void;
}

/** A message in the lines, or in the brief form, that a stream has the columns for. */
export function shownOn({ isTTY, columns }: NodeJS.WriteStream, message: string, brief?: string): string {
  const isTooLong = isTTY && message.length > columns;
  return fitToTerminal(isTooLong && brief !== undefined ? brief : message, { isTTY, columns });
}

/** Writes to stderr: one line a message, on a terminal as many as its width asks for. */
export const stderrLog: Log = {
  info: (message, brief) => void process.stderr.write(`${shownOn(process.stderr, message, brief)}\n`),
  warn: (message) => void process.stderr.write(`${shownOn(process.stderr, `warning: ${message}`)}\n`),
};

/** Drops everything: for tests and for callers that print a result only. */
export const silentLog: Log = { info: () => undefined, warn: () => undefined };
