import { Errors, type Hook } from "@oclif/core";
import { nearest } from "../base/nearest.js";

/** oclif's `command_not_found` hook: names the nearest command and exits with 2. */
export const commandNotFound: Hook.CommandNotFound = async ({ id, config }) => {
  const word = id.replaceAll(":", " ");
  const near = nearest(
    word,
    config.commandIDs.map((known) => known.replaceAll(":", " ")),
  );
  Errors.error(`${config.bin} has no command ${JSON.stringify(word)}`, {
    exit: 2,
    suggestions: near ? [`${config.bin} ${near}`] : [`${config.bin} --help`],
  });
};
