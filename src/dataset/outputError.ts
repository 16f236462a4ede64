import { MswitchError, messageOf } from "../base/errors.js";

/**
 * The error for the user where the file system refused the dataset's folder, or undefined where `error` is something else.
 *
 * @param out the dataset's folder
 */
export function outputError(out: string, error: unknown): MswitchError | undefined {
  const code = (error as NodeJS.ErrnoException)?.code;
  if (error instanceof MswitchError || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new MswitchError(full ? "the disk is full" : "the output cannot be written", {
    where: out,
    why: messageOf(error),
    hint: `${full ? "make room" : "mend that"} and run the same command again: what was finished is kept`,
  });
}
