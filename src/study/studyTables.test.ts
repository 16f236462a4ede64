import { expect, test } from "vitest";
import { table } from "./studyTables.js";

test("names of variants are text in Markdown, whatever signs they have", () => {
  expect(table(["model"], [["a|b <i>"]]).split("\n")[2]).toBe("| a\\|b \\<i> |");
});
