import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { MswitchError, usageError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import { userCache } from "../../base/userCache.js";

/** SentencePiece's own trainer, as it was found on this machine. */
export interface Trainer {
  /** For the log and the recipe: `spm_train, sentencepiece 0.1.97`. */
  name: string;
  command: string;
  /** Arguments before the trainer's own. */
  prefix: string[];
}

/** Passes `--name=value` arguments to the package as keywords: its own flag parser would split them at spaces. */
const pythonMain = `
import sys, sentencepiece
pairs = (argument[2:].split("=", 1) for argument in sys.argv[1:])
sentencepiece.SentencePieceTrainer.train(**dict(pairs))
`;
const run = promisify(execFile);

/**
 * Finds SentencePiece's trainer: the Python package of `python` where one is named, or else of the Python that `MSWITCH_PYTHON` names, or else
 * `spm_train` on the PATH, or else the package of `python3` or of the environment that `make` has made.
 *
 * @throws usageError that says what to install
 */
export async function findTrainer(python?: string): Promise<Trainer> {
  const named = python ?? process.env.MSWITCH_PYTHON;
  const tried: string[] = [];
  if (named === undefined) {
    try {
      const { stdout } = await run("spm_train", ["--version"]);
      return { name: `spm_train, ${stdout.trim()}`, command: "spm_train", prefix: [] };
    } catch {
      tried.push("spm_train is not on the PATH");
    }
  }
  const venv = process.env.MSWITCH_VENV ?? userCache("oracles");
  for (const command of named ? [named] : ["python3", join(venv, "bin", "python")]) {
    try {
      const { stdout } = await run(command, ["-c", "import sentencepiece; print(sentencepiece.__version__)"]);
      return { name: `Python package sentencepiece ${stdout.trim()}`, command, prefix: ["-c", pythonMain] };
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      tried.push(missing ? `there is no ${command}` : `${command} has no package sentencepiece`);
    }
  }
  throw usageError("SentencePiece's trainer was not found", {
    code: "trainer-not-found",
    why: tried.join(", and "),
    hint: "apt-get install sentencepiece, or pip install sentencepiece, or name a Python that has it with --python",
  });
}

/**
 * Runs the trainer in `directory`, its lines about the course of training to the log.
 *
 * @param options the trainer's own, by name
 * @throws MswitchError with the trainer's last words where it fails, with exit code 130 where `signal` stopped it
 */
export async function runTrainer(
  trainer: Trainer,
  {
    directory,
    options,
    log,
    signal,
  }: { directory: string; options: Record<string, string>; log: Log; signal: AbortSignal },
): Promise<void> {
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const lines: string[] = [];
  const child = spawn(trainer.command, [...trainer.prefix, ...flags], {
    cwd: directory,
    stdio: ["ignore", "ignore", "pipe"],
    // A group of its own: Ctrl-C reaches us alone, and we end the trainer.
    detached: true,
  });
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  try {
    let rest = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        lines.push(line);
        if (lines.length > 50) lines.shift();
        // 0.2.0 and older: `trainer_interface.cc(428) LOG(INFO) Loaded all`; 0.2.2: `I0000 … trainer_interface.cc:422] Loaded all`.
        const news =
          /(?:\) LOG\(INFO\) |\] )((?:Loaded all|Alphabet size|all chars count|Initialized|Making suffix|Extracting|EM sub_iter|Saving model).*)/.exec(
            line,
          );
        if (news) log.info(news[1]);
      }
    });
    const [code, killedBy] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once("error", reject).once("close", (...end) => resolve(end));
    });
    if (signal.aborted)
      throw new MswitchError("interrupted while the vocabulary was trained", { code: "interrupted", exitCode: 130 });
    if (code === 0) return;
    lines.push(rest);
    if (killedBy !== null) {
      throw new MswitchError(`SentencePiece's trainer was killed (${killedBy})`, {
        code: "trainer-killed",
        where: trainer.name,
        why: "most often the system does that for want of memory",
        hint: "fewer --max-sentences: the trainer needs about 24 bytes of memory for each byte of text",
      });
    }
    throw new MswitchError("SentencePiece's trainer failed", {
      code: "trainer-failed",
      where: trainer.name,
      why: lastWords(lines),
      hint: hintFor(lines),
    });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function lastWords(lines: string[]): string {
  const spoken = lines.map((line) => line.trim()).filter((line) => line !== "" && !/^Program terminated/.test(line));
  return (
    spoken.findLast((line) => /Error|RuntimeError|CHECK|Internal/i.test(line)) ?? spoken.at(-1) ?? "it said nothing"
  );
}

function hintFor(lines: string[]): string | undefined {
  const limit = lines
    .map((line) => /Vocabulary size too high .*<= (\d+)/.exec(line)?.[1])
    .find((size) => size !== undefined);
  if (limit) return `--size ${limit} or less: the sentences hold no more pieces; or give more text`;
  if (lines.some((line) => /smaller than required_chars/.test(line))) return "a larger --size, or a lower --coverage";
  return undefined;
}
