import { usageError } from "../base/errors.js";

/** `I/N` of `--task`: this process does share I, counted from 0, of N. */
export function parseTask(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index >= count) {
    throw usageError(`${text} is no task`, {
      code: "flag-invalid",
      where: "--task",
      why: "it must be I/N with I from 0 to N - 1",
      hint: "of four tasks: 0/4, 1/4, 2/4, 3/4",
    });
  }
  return { index, count };
}
