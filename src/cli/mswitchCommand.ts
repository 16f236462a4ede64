import { Command, Errors, Flags } from "@oclif/core";
import { exitCode, MswitchError, messageOf } from "../base/errors.js";
import { isDiskFull, isFileSystemError, writeError } from "../base/files/fileSystemError.js";
import { fitToTerminal } from "../base/format.js";
import { nearest, nearestPath } from "../base/nearest.js";

/**
 * The base of every command. A command parses its flags, calls one function below, prints the result, and returns it as plain
 * data: with `--json` what `run` returns is the one document on stdout. Progress and logs go to stderr (`stderrLog`).
 */
export abstract class MswitchCommand extends Command {
  static override enableJsonFlag = true;

  /** A result on stdout, in lines that a terminal has the width for. */
  override log(message = ""): void {
    super.log(fitToTerminal(message, process.stdout));
  }

  /** Ends with `code` although the command returned normally (3: some input was quarantined). */
  protected exitWith(code: 1 | 3 | 130): void {
    process.exitCode = code;
  }

  protected override async catch(error: Error & { exitCode?: number; oclif?: { exit?: number } }): Promise<unknown> {
    const forUser = this.#forUser(error);
    process.exitCode = forUser?.exitCode ?? error.exitCode ?? error.oclif?.exit ?? exitCode.failed;
    // Also of commands that have no result to print as JSON.
    if (this.jsonEnabled() || this.argv.includes("--json")) this.logJson(this.toErrorJson(error));
    else if (forUser) process.stderr.write(errorLines(forUser));
    else throw error;
    return undefined;
  }

  protected override toErrorJson(error: unknown): unknown {
    return errorDocument(this.#forUser(error) ?? error);
  }

  /** An error that is told to the user as ours are: ours, and oclif's of wrong arguments and flags. `--help` ends by one of code 0. */
  #forUser(error: unknown): MswitchError | undefined {
    if (error instanceof MswitchError) return withNearestPath(error);
    if (isFileSystemError(error) && error.path !== undefined) return fileRefused(error, error.path);
    if (!(error instanceof Errors.CLIError) || error.oclif.exit === exitCode.done) return undefined;
    const help = `${this.config.bin} ${(this.id ?? "").replaceAll(":", " ")} --help`;
    // What is wrong is oclif's first paragraph; notes on flags in general follow.
    const what = error.message
      .replace(/\s*See more help with --help\s*$/, "")
      .split("\n\n")[0]
      .replaceAll("\n", " ");
    const unknown = /^Nonexistent flag: --(\S+)/.exec(what)?.[1];
    const near = unknown && nearest(unknown, Object.keys(this.ctor.flags ?? {}));
    if (near) return wrongUse(what, `--${near}, or ${help}`);
    const [, value, options] = /^Expected (\S+) to be one of: (.*)$/.exec(what) ?? [];
    const [, command] = /^Command (\S+) not found/.exec(what) ?? [];
    const known = options?.split(", ") ?? (command ? this.config.commandIDs : []);
    const word = nearest(value ?? command ?? "", known)?.replaceAll(":", " ");
    return wrongUse(what, word ? `${command ? `${this.config.bin} help ` : ""}${word}, or ${help}` : help);
  }
}

// Results may go to a file on a full disk. oclif's own listener, which comes later, throws what is not a reader that has gone.
process.stdout.prependListener("error", (error) => {
  if (!isFileSystemError(error) || error.code === "EPIPE") return;
  const hint = (full: boolean): string => `${full ? "make room" : "mend that"} and run the same command again`;
  const told = writeError(error, { what: "the result cannot be written", where: "stdout", hint });
  process.stderr.write(errorLines(told as MswitchError));
  process.exit(exitCode.failed);
});

/** Errors of a path that is the user's and may be mistyped. */
const pathCodes: ReadonlySet<string> = new Set([
  "config-unreadable",
  "dataset-not-found",
  "not-a-run",
  "source-unreadable",
  "vocabulary-unreadable",
]);

/** With the name that the path may have been meant as. */
function withNearestPath(error: MswitchError): MswitchError {
  const near = error.where !== undefined && pathCodes.has(error.code) ? nearestPath(error.where) : undefined;
  if (near === undefined) return error;
  const hint = `${near}${error.hint ? `, or ${error.hint}` : ""}`;
  return new MswitchError(error.what, { ...error.details, hint, cause: error });
}

/** A file or folder of the user's that the system refused at a place that has no better words for it. */
function fileRefused(error: Error, path: string): MswitchError {
  const details = { where: path, why: messageOf(error), cause: error };
  if (isDiskFull(error)) {
    const hint = "make room and run the same command again";
    return new MswitchError("the disk is full", { code: "disk-full", ...details, hint });
  }
  const hint = "mend that, or name another place";
  return new MswitchError("the system refused a file", { code: "file-refused", ...details, hint });
}

/** The command line itself is wrong: an unknown command or flag, a missing argument. */
export function wrongUse(what: string, hint: string): MswitchError {
  return new MswitchError(what, { code: "wrong-use", hint, exitCode: exitCode.usage });
}

/** What is written on stderr: the error, its code, and what to try. */
export function errorLines({ message, code, hint }: MswitchError): string {
  return fitToTerminal(`error: ${message} [${code}]\n${hint ? `  try: ${hint}\n` : ""}`, process.stderr);
}

/** What `--json` prints of an error. */
export function errorDocument(error: unknown): { error: Record<string, unknown> } {
  if (!(error instanceof MswitchError)) return { error: { code: "internal", message: messageOf(error) } };
  const { code, what, where, why, hint, message } = error;
  return { error: { code, message, what, where, why, hint } };
}

/** `--threads` of commands that compute on the processor. */
export const threadsFlag = Flags.integer({
  description:
    "Processor threads of one operation; one a core where left out. Small operations take one thread whatever it says.",
  min: 1,
});

/**
 * Sets the threads of libtorch for this process and those that it starts. OpenMP reads the variable once, when libtorch is loaded: call
 * it before a backend is.
 */
export function useThreads(threads: number | undefined): void {
  if (threads !== undefined) process.env.OMP_NUM_THREADS = String(threads);
}
