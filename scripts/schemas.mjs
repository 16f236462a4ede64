// schemas/*.json, for editors: what run and study files may hold, from the zod schemas in dist. `npm run docs` after a build writes them.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as z from "zod";

const root = fileURLToPath(new URL("..", import.meta.url));
const load = (module) => import(pathToFileURL(join(root, "dist", `${module}.js`)).href);

/** Each file's schema: {name, title, schema}, `name` as in schemas/NAME.schema.json. */
export async function fileSchemas() {
  const { mixingSchema, runConfigSchema } = await load("train/config/runConfig");
  const { studySchema } = await load("study/studyFile");
  const { hardwareSchema } = await load("plan/cluster/hardware");
  return [
    { name: "run", title: "A run of mswitch", schema: runConfigSchema },
    { name: "mixing", title: "How languages share the batches: stream.mixing of a run", schema: mixingSchema },
    { name: "study", title: "A study of mswitch", schema: studySchema },
    { name: "hardware", title: "A device for mswitch plan", schema: hardwareSchema },
  ].map(({ name, title, schema }) => ({
    name,
    schema: { title, ...z.toJSONSchema(schema, { io: "input", unrepresentable: "any", target: "draft-7" }) },
  }));
}

/** The text of each file in schemas/, by its name. */
export async function schemaFiles() {
  const files = (await fileSchemas()).map(({ name, schema }) => [
    `${name}.schema.json`,
    `${JSON.stringify(schema, null, 2)}\n`,
  ]);
  return Object.fromEntries(files);
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  mkdirSync(join(root, "schemas"), { recursive: true });
  for (const [name, text] of Object.entries(await schemaFiles())) writeFileSync(join(root, "schemas", name), text);
}
