// Which kernels multiply matrices on this CPU: measured once per machine and build, then read from the user's cache folder.
import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, homedir } from "node:os";
import { join } from "node:path";
import type { GemmChoice, GemmRates } from "./native.js";

/** What the addon needs for it. */
interface Chooser {
  info(): { torchVersion: string; gemm: GemmChoice };
  measureGemm(): GemmRates;
  setGemm(type: keyof GemmChoice, name: string): void;
}

/** A stored measurement: the rates and what they led to. */
export interface GemmMeasurement {
  cpu: string;
  torchVersion: string;
  rates: GemmRates;
  choice: GemmChoice;
}

/** Another way must be so much faster than the one that the CPU's features suggest: a busy machine shall not decide. */
const clearlyFaster = 1.15;

/**
 * Ways that whole layers are made of (attention, feed-forward, the output layer with its loss), and how much faster one that is none must be: a step of
 * preset tiny took 1.45 times as long with the library's products, which alone have 0.87 of avx512's rate (AMD Zen 5).
 */
const ofLayers = ["amx", "avx512"];
const fasterThanLayers = 1.6;

/** The file of the measurement for this machine, libtorch and build: another of any of them is measured anew. */
export function gemmFile(torchVersion: string, addonPath: string): string {
  const { size, mtimeMs } = statSync(addonPath);
  const key = [cpus()[0]?.model, torchVersion, size, mtimeMs].join("\n");
  const name = `gemm-${createHash("sha256").update(key).digest("hex").slice(0, 16)}.json`;
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "mswitch", name);
}

/** The measurement in a file, or undefined. */
export function storedGemm(file: string): GemmMeasurement | undefined {
  try {
    const { choice, ...rest } = JSON.parse(readFileSync(file, "utf8")) as GemmMeasurement;
    if (typeof choice.bfloat16 === "string" && typeof choice.float32 === "string") return { choice, ...rest };
  } catch {
    // Not there, or damaged: it is measured again.
  }
  return undefined;
}

function best(rates: Record<string, number>, suggested: string): string {
  const [name, rate] = Object.entries(rates).reduce((one, other) => (other[1] > one[1] ? other : one));
  const faster = ofLayers.includes(suggested) && !ofLayers.includes(name) ? fasterThanLayers : clearlyFaster;
  return rate > faster * (rates[suggested] ?? 0) ? name : suggested;
}

/**
 * Takes the kernels that were fastest here when this build was first used, which takes a second or two that once. Where the measurement
 * cannot be kept none is made, and the CPU's features decide: the same choice, and so the same bits, in every run. `TFJS_TORCH_GEMM`
 * (`bfloat16:avx512,float32:library`) is stronger than both.
 */
export function chooseGemm(addon: Chooser, addonPath: string): void {
  const asked = process.env.TFJS_TORCH_GEMM ?? "";
  if (asked.includes("bfloat16:") && asked.includes("float32:")) return;
  const { torchVersion, gemm } = addon.info();
  const file = gemmFile(torchVersion, addonPath);
  let measurement = storedGemm(file);
  if (measurement === undefined) {
    const temporary = `${file}.${process.pid}.${Date.now()}`;
    try {
      mkdirSync(join(file, ".."), { recursive: true });
      const rates = addon.measureGemm();
      const choice = { bfloat16: best(rates.bfloat16, gemm.bfloat16), float32: best(rates.float32, gemm.float32) };
      measurement = { cpu: cpus()[0]?.model ?? "", torchVersion, rates, choice };
      writeFileSync(temporary, `${JSON.stringify(measurement, null, 2)}\n`, { flag: "wx" });
      if (storedGemm(file) === undefined) rmSync(file, { force: true });
      linkSync(temporary, file);
    } catch {
      // Another process was first, and what it wrote counts for all; or nothing can be written here.
      measurement = storedGemm(file);
      if (measurement === undefined) return;
    } finally {
      // Where its folder is none this throws in spite of `force`.
      if (existsSync(temporary)) rmSync(temporary, { force: true });
    }
  }
  try {
    addon.setGemm("bfloat16", measurement.choice.bfloat16);
    addon.setGemm("float32", measurement.choice.float32);
  } catch {
    // A name that this build does not have: the features' choice stands.
  }
}
