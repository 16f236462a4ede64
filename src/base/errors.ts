/** Process exit codes of every command. */
export const exitCode = {
  done: 0,
  failed: 1,
  /** Wrong use or wrong configuration: nothing was started. */
  usage: 2,
  /** The work was finished, but some input was set aside. */
  quarantined: 3,
  interrupted: 130,
} as const;

export interface ErrorDetails {
  /**
   * Names the kind of error for programs and tests, in lower case with hyphens: `dataset-not-found`. It stays the same where the
   * sentence changes. docs/errors.md lists all.
   */
  code: string;
  /** File, line or byte at fault, as a reader would look it up: `runs/a.yaml:12`, `c4-af.…json.gz line 7`. */
  where?: string;
  /** The cause, in one sentence. */
  why?: string;
  /** What to try. */
  hint?: string;
  exitCode?: 1 | 2 | 3 | 130;
  cause?: unknown;
}

/** An error meant for the user: says what, where, why, and what to try. Anything else that is thrown is a bug of ours. */
export class MswitchError extends Error {
  readonly code: string;
  readonly what: string;
  readonly where: string | undefined;
  readonly why: string | undefined;
  readonly hint: string | undefined;
  readonly exitCode: 1 | 2 | 3 | 130;

  constructor(what: string, details: ErrorDetails) {
    super(formatMessage(what, details), { cause: details.cause });
    this.name = "MswitchError";
    this.code = details.code;
    this.what = what;
    this.where = details.where;
    this.why = details.why;
    this.hint = details.hint;
    this.exitCode = details.exitCode ?? exitCode.failed;
  }

  /** All but the cause as plain data, for another thread: structured cloning keeps an error's message but not its class. */
  get details(): Omit<ErrorDetails, "cause"> {
    const { code, where, why, hint, exitCode } = this;
    return { code, where, why, hint, exitCode };
  }
}

/** Wrong use or configuration: exits with 2. */
export function usageError(what: string, details: Omit<ErrorDetails, "exitCode">): MswitchError {
  return new MswitchError(what, { ...details, exitCode: exitCode.usage });
}

function formatMessage(what: string, { where, why }: ErrorDetails): string {
  return `${where ? `${where}: ` : ""}${what}${why ? `: ${why}` : ""}`;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error as it is sent from a thread to another: cloning keeps message and stack, but not the class. */
export type ClonableError = { what: string; details: ErrorDetails } | { bug: unknown };

export function toClonable(error: unknown): ClonableError {
  if (!(error instanceof MswitchError)) return { bug: error };
  return { what: error.what, details: error.details };
}

export function fromClonable(error: ClonableError): unknown {
  return "bug" in error ? error.bug : new MswitchError(error.what, error.details);
}
