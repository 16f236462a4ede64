import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { hasProcessGroups } from "@mswitch/tfjs-backend-torch/distributed";
import { afterAll, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import * as z from "zod";
import { loadBackend } from "../src/backends/loadBackend.js";
import { metricsLineSchema } from "../src/run/runFiles.js";
import { startMswitch } from "./helpers/runMswitch.js";
import { writeTinyPipeline } from "./pretrainRun.js";

const folder = mkdtempSync(join(tmpdir(), "mswitch-kubernetes-pretrain-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const usable = await loadBackend("torch").then(hasProcessGroups, () => false);

const metadata = z.strictObject({ name: z.string().regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/) });
const quantity = z.string().regex(/^\d+(m|[KMGT]i)?$/);
/** What the file has of Kubernetes' API (core/v1 Service, batch/v1 Job, as of 1.31): another key is a mistake. */
const serviceSchema = z.strictObject({
  apiVersion: z.literal("v1"),
  kind: z.literal("Service"),
  metadata,
  spec: z.strictObject({
    clusterIP: z.literal("None"),
    publishNotReadyAddresses: z.boolean(),
    selector: z.record(z.string(), z.string()),
  }),
});
const jobSchema = z.strictObject({
  apiVersion: z.literal("batch/v1"),
  kind: z.literal("Job"),
  metadata,
  spec: z.strictObject({
    completionMode: z.literal("Indexed"),
    completions: z.int().positive(),
    parallelism: z.int().positive(),
    backoffLimit: z.int(),
    podFailurePolicy: z.strictObject({
      rules: z.array(
        z.strictObject({
          action: z.enum(["FailJob", "FailIndex", "Ignore", "Count"]),
          onPodConditions: z.array(z.strictObject({ type: z.string(), status: z.string().optional() })).optional(),
          onExitCodes: z
            .strictObject({
              containerName: z.string(),
              operator: z.enum(["In", "NotIn"]),
              values: z.array(z.int()),
            })
            .optional(),
        }),
      ),
    }),
    template: z.strictObject({
      spec: z.strictObject({
        // The only policy that a podFailurePolicy allows.
        restartPolicy: z.literal("Never"),
        subdomain: z.string(),
        terminationGracePeriodSeconds: z.int().min(30),
        containers: z.tuple([
          z.strictObject({
            name: z.string(),
            image: z.string(),
            // Values of variables are texts: a bare 4 is refused.
            env: z.array(z.strictObject({ name: z.string(), value: z.string() })),
            command: z.array(z.string()),
            resources: z.strictObject({
              requests: z.record(z.string(), quantity),
              limits: z.record(z.string(), quantity),
            }),
            volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string() })),
          }),
        ]),
        volumes: z.array(
          z.strictObject({ name: z.string(), persistentVolumeClaim: z.strictObject({ claimName: z.string() }) }),
        ),
      }),
    }),
  }),
});

const text = readFileSync(resolve("pipelines/kubernetes/pretrain.yaml"), "utf8");
const [service, job] = parseAllDocuments(text).map((document): unknown => document.toJS());
const { metadata: named, spec } = jobSchema.parse(job);
const { containers, subdomain, volumes } = spec.template.spec;
const [container] = containers;
const environment = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));

test("pretrain.yaml: every rank finds rank 0 by the service, and the numbers of ranks agree", () => {
  const { spec: meeting, metadata: at } = serviceSchema.parse(service);
  expect(meeting.selector).toEqual({ "job-name": named.name });
  expect(at.name).toBe(subdomain);
  // The host name of an indexed Job's pod is the Job's with the index.
  expect(environment.MASTER_ADDR).toBe(`${named.name}-0.${subdomain}`);
  expect([spec.completions, spec.parallelism]).toEqual([
    Number(environment.WORLD_SIZE),
    Number(environment.WORLD_SIZE),
  ]);
  expect(container.volumeMounts.map(({ name }) => name)).toEqual(volumes.map(({ name }) => name));
  const rules = spec.podFailurePolicy.rules.filter(({ onExitCodes }) => onExitCodes);
  for (const { onExitCodes } of rules) expect(onExitCodes!.containerName).toBe(container.name);
});

test.skipIf(!usable)("its command, with an index for each rank, trains a run", async () => {
  const file = await writeTinyPipeline(folder, { backend: "torch", steps: 2 });
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  const [program, ...args] = container.command;
  expect(program).toBe("mswitch");
  const here = { ...environment, WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${port}` };
  const ranks = [0, 1].map((index) => {
    const given = args.map((arg) => arg.replace("/runs/run.yaml", file));
    return startMswitch(given, { ...here, JOB_COMPLETION_INDEX: `${index}` }).ended;
  });
  for (const { status, stderr } of await Promise.all(ranks)) expect(status, stderr).toBe(0);
  const lines = readFileSync(join(folder, "run", "metrics.jsonl"), "utf8")
    .trim()
    .split("\n");
  expect(lines.map((line) => metricsLineSchema.parse(JSON.parse(line)).step)).toEqual([1, 2]);
});
