/**
 * The compiled JavaScript of a worker module. Worker threads cannot load TypeScript: where this code itself runs from `src`
 * (under vitest), the worker is taken from `dist`, so build before testing.
 *
 * @param name the worker's path without extension, relative to the caller: `"./shardWorker"`
 * @param base the caller's `import.meta.url`
 */
export function workerUrl(name: string, base: string): URL {
  const url = new URL(`${name}.js`, base);
  return new URL(url.href.replace(/\/src\/(?!.*\/src\/)/, "/dist/"));
}
