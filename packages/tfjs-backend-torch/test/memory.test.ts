// Where large CPU blocks come from and go to, seen from outside: page faults and resident memory of whole processes. They run the
// compiled package: npm test compiles it first.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

function run(scenario: string) {
  const program = fileURLToPath(new URL("programs/largeBlocks.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, scenario], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout);
}

// A block of 48 MiB that the system clears anew costs 12,288 page faults, 24 where it comes in huge pages. Node has some of its own.
describe.skipIf(process.platform !== "linux")("blocks of a MiB and more", () => {
  test("are taken again, not cleared again", () => {
    const { faults } = run("again");
    expect(faults).toBeLessThan(1000);
  });

  test("are given back before others lift the process's peak", () => {
    const { full, after } = run("pieces");
    expect(full).toBeGreaterThan(250);
    expect(after).toBeLessThan(1.05 * full);
  });

  test("of any size leave little unused, and none overlaps another", () => {
    const { most, grown, right } = run("anySizes");
    expect(right).toBe(true);
    expect(grown).toBeLessThan(1.2 * most);
  });

  test("serve several threads at once, and the next when a thread has ended", () => {
    const { together, faults } = run("workers");
    expect(together).toMatchObject([{ right: true }, { right: true }]);
    expect(faults).toBeLessThan(1000);
  });

  test("that the system does not have are an error, after which all goes on", () => {
    const { message, faults } = run("tooLarge");
    expect(message).toMatch(/Fill.*can't allocate memory: you tried to allocate \d+ bytes/);
    expect(faults).toBeLessThan(1000);
  });
});
