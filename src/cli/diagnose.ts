import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { promisify } from "node:util";
import { findBackends } from "../backends/loadBackend.js";
import { describeGemm } from "../backends/torch.js";
import { MswitchError, messageOf } from "../base/errors.js";
import { findTrainer } from "../vocab/train/sentencePieceTrainer.js";
import { shipped } from "./packageRoot.js";

/** One thing mswitch looks for on a machine. */
export interface Finding {
  name: string;
  found: boolean;
  /** What it is; where it is absent, what it is for and how to get it. */
  detail: string;
  /** mswitch cannot do its main job without it. */
  required: boolean;
}

const run = promisify(execFile);

/** The first line a program prints, or undefined where it is not there or fails. */
async function firstLine(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, args, { timeout: 20_000 });
    return stdout.trim().split("\n")[0];
  } catch {
    return undefined;
  }
}

/** As `vocab train` looks for it. */
async function findVocabularyTrainer(): Promise<Finding> {
  const name = "SentencePiece trainer";
  try {
    return { name, found: true, detail: (await findTrainer()).name, required: false };
  } catch (error) {
    const how = error instanceof MswitchError ? error.hint : messageOf(error);
    return { name, found: false, detail: `only \`mswitch vocab train\` needs it; ${how}`, required: false };
  }
}

async function findGpu(): Promise<Finding> {
  const gpu = await firstLine("nvidia-smi", ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]);
  const detail = gpu ?? "no NVIDIA GPU answers to nvidia-smi; training runs on the processor";
  return { name: "GPU", found: gpu !== undefined, detail, required: false };
}

async function findDisk(): Promise<Finding> {
  const { bavail, bsize } = await statfs(process.cwd());
  return { name: "Disk", found: true, detail: `${((bavail * bsize) / 1e9).toFixed(1)} GB free here`, required: false };
}

function shippedFile(name: string, ...path: string[]): Finding {
  const file = shipped(...path);
  const found = existsSync(file);
  return { name, found, detail: found ? file : `${file} is missing: the installation is incomplete`, required: true };
}

/** Looks at this machine: what mswitch can use, what is missing, what to install. */
export async function diagnose(): Promise<Finding[]> {
  const [major] = process.versions.node.split(".").map(Number);
  const cores = availableParallelism();
  const [trainer, gpu, disk, backends] = await Promise.all([
    findVocabularyTrainer(),
    findGpu(),
    findDisk(),
    findBackends(),
  ]);
  const gemm = await describeGemm();
  const usable = backends.find((backend) => backend.usable);
  return [
    {
      name: "Node.js",
      found: major >= 20,
      detail: `${process.version}${major >= 20 ? "" : "; needs 20 or newer"}`,
      required: true,
    },
    {
      name: "Machine",
      found: true,
      detail: `${cores} core${cores === 1 ? "" : "s"} (${cpus()[0]?.model.trim() ?? "unknown"}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
      required: true,
    },
    disk,
    gpu,
    ...backends.map(({ name, usable, description }) => ({
      name: `Backend ${name}`,
      found: usable,
      detail: description,
      required: false,
    })),
    ...(gemm ? [{ name: "Matrix products", found: true, detail: gemm, required: false }] : []),
    {
      name: "Default backend",
      found: usable !== undefined,
      detail: usable?.name ?? "none can be loaded: reinstall with `npm install`",
      required: true,
    },
    trainer,
    shippedFile("Sample corpus", "data", "sample"),
    shippedFile("Sample vocabulary", "vocab", "sample.model"),
  ];
}
