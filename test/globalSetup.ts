import type { TestProject } from "vitest/node";

/**
 * Brings dist up to date before the tests, and in watch mode before each new run: workers, WebAssembly modules and the command line
 * run from there. What does not compile ends the run with the compiler's words.
 */
export async function setup(project: TestProject): Promise<void> {
  const { build } = (await import(new URL("../scripts/build.mjs", import.meta.url).href)) as {
    build: () => Promise<string[]>;
  };
  await build();
  project.onTestsRerun(async () => {
    await build();
  });
}
