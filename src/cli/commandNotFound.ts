import type { Hook } from "@oclif/core";
import { exitCode } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import { errorDocument, errorLines, wrongUse } from "./mswitchCommand.js";

/** oclif's `command_not_found` hook: names the nearest command and exits with 2. */
export const commandNotFound: Hook.CommandNotFound = async ({ id, argv = [], config }) => {
  const word = id.replaceAll(":", " ");
  const near = nearest(
    word,
    config.commandIDs.map((known) => known.replaceAll(":", " ")),
  );
  const error = wrongUse(
    `${config.bin} has no command ${JSON.stringify(word)}`,
    near ? `${config.bin} ${near}` : `${config.bin} --help`,
  );
  if (id === "--json" || argv.includes("--json"))
    process.stdout.write(`${JSON.stringify(errorDocument(error), null, 2)}\n`);
  else process.stderr.write(errorLines(error));
  process.exit(exitCode.usage);
};
