import { MswitchError, messageOf } from "../base/errors.js";

/** What the operating system's refusal to write means to the user; any other error as it is. */
export function diskError(error: unknown, what: string, where: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (error instanceof MswitchError || !code?.startsWith("E") || code.startsWith("ERR_")) return error;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new MswitchError(what, {
    where,
    why: full ? "the disk is full" : messageOf(error),
    hint: `${full ? "Free some space" : "Mend the cause"} and start again: the run goes on from its last complete checkpoint.`,
    cause: error,
  });
}
