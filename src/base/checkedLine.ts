import { sha256 } from "./hash.js";

const digits = 8;
const endOfLine = new RegExp(`,"check":"([0-9a-f]{${digits}})"\\}$`);

/**
 * An object with at least one key as a line of JSON, line end included. Its last key, `check`, is a checksum of the text before it, so that a damaged digit
 * is not read as another number.
 */
export function formatCheckedLine(value: object): string {
  const text = JSON.stringify(value).slice(0, -1);
  return `${text},"check":"${checkOf(text)}"}\n`;
}

/** The value of a line that `formatCheckedLine` wrote, `check` included; undefined where it is damaged. Without the line end. */
export function parseCheckedLine(line: string): unknown {
  const end = endOfLine.exec(line);
  if (end === null || end[1] !== checkOf(line.slice(0, end.index))) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function checkOf(text: string): string {
  return sha256(text).slice(0, digits);
}
