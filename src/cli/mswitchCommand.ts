import { Command, Errors } from "@oclif/core";
import { exitCode, MswitchError, messageOf } from "../base/errors.js";

/**
 * The base of every command. A command parses its flags, calls one function below, prints the result, and returns it as plain
 * data: with `--json` what `run` returns is the one document on stdout. Progress and logs go to stderr (`stderrLog`).
 */
export abstract class MswitchCommand extends Command {
  static override enableJsonFlag = true;

  /** Ends with `code` although the command returned normally (3: some input was quarantined). */
  protected exitWith(code: 1 | 3 | 130): void {
    process.exitCode = code;
  }

  protected override async catch(error: Error & { exitCode?: number; oclif?: { exit?: number } }): Promise<unknown> {
    process.exitCode = error.exitCode ?? error.oclif?.exit ?? exitCode.failed;
    if (this.jsonEnabled()) {
      this.logJson(this.toErrorJson(error));
    } else if (error instanceof MswitchError) {
      process.stderr.write(`error: ${error.message} [${error.code}]\n${error.hint ? `  try: ${error.hint}\n` : ""}`);
    } else {
      throw error;
    }
    return undefined;
  }

  protected override toErrorJson(error: unknown): unknown {
    if (error instanceof MswitchError) {
      const { code, what, where, why, hint, message } = error;
      return { error: { code, message, what, where, why, hint } };
    }
    return { error: { code: error instanceof Errors.CLIError ? "wrong-use" : "internal", message: messageOf(error) } };
  }
}
