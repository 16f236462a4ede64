import { describe, expect, test } from "vitest";
import { syntheticRun } from "../../../test/reportRuns.js";
import { entropyCsv } from "../data/figureCsv.js";
import { caveats, finding, headline, verdict } from "../data/headline.js";
import { reportData } from "../data/reportData.js";
import { escapeHtml, Html, html } from "./html.js";
import { reportCsv } from "./reportCsv.js";
import { reportMarkdown } from "./reportMarkdown.js";

const languages = ["af", "am", "ja", "ja-Latn", "zu"];
const steps = [0, 100, 200, 300, 400, 500, 600, 700, 800];
const common = { languages, steps, noise: 0.01 };
const baseline = syntheticRun({ ...common, name: "dense", speed: () => 1 });
const faster = syntheticRun({ ...common, name: "switch", speed: () => 3, experts: 4 });
const slower = syntheticRun({ ...common, name: "bad|run <b>", speed: () => 0.6, experts: 4, totalSteps: 1000 });
const data = reportData([baseline, faster, slower], { resamples: 100 });
const [good, bad] = data.candidates;

describe("reportData", () => {
  test("counts a language in two scripts once among languages, twice among tasks", () => {
    expect(good.summaries.tasks.count).toBe(5);
    expect(good.summaries.languages.count).toBe(4);
    expect(data.languages.filter(({ main }) => !main).map(({ code }) => code)).toEqual(["ja-Latn"]);
  });

  test("is a pure function of the runs", () => {
    expect(reportData([baseline, faster, slower], { resamples: 100 })).toEqual(data);
  });

  test("compares what all runs have and nothing else", () => {
    const fewer = syntheticRun({ ...common, name: "fewer", languages: ["am", "zu"], speed: () => 2 });
    const codes = (runs: (typeof faster)[]): string[] =>
      reportData([baseline, ...runs], { resamples: 2 }).languages.map(({ code }) => code);
    expect(codes([faster, fewer])).toEqual(["am", "zu"]);
    const other = syntheticRun({ ...common, name: "other", languages: ["xh"], speed: () => 2 });
    expect(() => codes([other])).toThrow(expect.objectContaining({ code: "runs-not-comparable" }));
  });

  test.each(["vocabulary", "dataset", "evalExamples"] as const)("refuses runs whose %s differs", (key) => {
    const other = { ...faster, description: { ...faster.description, [key]: "f".repeat(64) } };
    expect(() => reportData([baseline, other])).toThrow(
      expect.objectContaining({ code: "runs-not-comparable", what: expect.stringContaining(key) }),
    );
  });

  test("knows the entropy of each language's choice of experts", () => {
    for (const { entropy, byLanguage } of good.routing!.layers) {
      expect(entropy).toHaveLength(5);
      for (const [i, value] of entropy.entries()) {
        const shares = byLanguage[i].map((load) => load / 4);
        const expected = -shares.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);
        expect(value).toBeCloseTo(expected, 2);
        expect(value).toBeLessThan(Math.log(4));
      }
    }
    const lines = entropyCsv(data, good).trimEnd().split("\r\n");
    expect(lines[0]).toBe("code,layer,entropy,even");
    expect(lines).toHaveLength(1 + 2 * 5);
  });

  test("keeps routing as multiples of a balanced load", () => {
    expect(good.routing?.experts).toBe(4);
    for (const { load, byLanguage } of good.routing!.layers) {
      expect(load.reduce((a, b) => a + b) / 4).toBeCloseTo(1, 2);
      for (const row of byLanguage) expect(row.reduce((a, b) => a + b) / 4).toBeCloseTo(1, 2);
    }
  });
});

describe("the words follow from the figures", () => {
  test("a faster candidate", () => {
    expect(finding(data, good, "languages")).toBe("switch learns faster than dense, in 4 of 4 languages");
    expect(headline(data, good, "languages")).toMatch(
      /^Mean step speed-up 2\.[89]\d× \(95\u202f% interval .+\) over 4 languages$/,
    );
    expect(verdict(data, good, "languages")).toContain(
      "At the end it is better in 4 of 4 languages (100\u202f%), beyond the interval in 4, and worse beyond it in 0",
    );
    expect(verdict(data, good, "languages")).toMatch(/as good as dense at step 800 after 3\d\u202f% of the steps/);
  });

  test("a slower one", () => {
    expect(finding(data, bad, "languages")).toContain("learns more slowly than dense");
    expect(headline(data, bad, "tasks")).toMatch(/^Mean step speed-up 0\.[56]\d+× .* over 5 tasks$/);
    expect(verdict(data, bad, "languages")).toContain("better in 0 of 4 languages");
    expect(verdict(data, bad, "languages")).toMatch(/needs 1\.\d\d× as many steps for the same quality/);
    expect(caveats(data, bad, "languages").join("\n")).toMatch(
      /not finished: it is at step 800 of 1,000.*In 4 languages the candidate never reaches/s,
    );
  });

  test("one that never gets better than the baseline's first evaluation is slower, however much its bounds say 1×", () => {
    const dead = syntheticRun({ ...common, name: "diverged", speed: () => 0.01 });
    const compared = reportData([baseline, dead], { resamples: 100 });
    const [candidate] = compared.candidates;
    expect(candidate.rows.every(({ step, match }) => step.value <= 1 && match.bound === "atMost")).toBe(true);
    expect(finding(compared, candidate, "languages")).toContain("learns more slowly than dense");
    expect(verdict(compared, candidate, "languages")).toMatch(/needs at least \d\.\d+× as many steps/);
    expect(reportMarkdown(reportData([baseline, faster, dead], { resamples: 100 }), [[], []])).toMatch(
      /\| switch \| faster \|.*\n\| diverged \| slower \|/,
    );
  });

  test("runs that learn alike are not told apart", () => {
    const same = syntheticRun({ ...common, name: "same", speed: () => 1, noise: 0.02 });
    const alike = reportData([baseline, same], { resamples: 100 });
    expect(finding(alike, alike.candidates[0], "languages")).toMatch(/^No difference shown/);
  });

  test("whatever makes a comparison unfair is said", () => {
    const other = syntheticRun({ ...common, name: "other", speed: () => 2, experts: 4, flopsPerStep: 1.3e9 });
    other.description = { ...other.description, tokensPerStep: 4096, seed: 7, backend: "torch" };
    const config = (rate: number, seed: number) =>
      `seed: ${seed}\noptimizer: {learningRate: {base: ${rate}}}\nmodel: {switch: null}\n`;
    const unfair = reportData(
      [
        { ...baseline, config: config(1, 1) },
        { ...other, config: config(0.5, 7) },
      ],
      { resamples: 10 },
    );
    const notes = caveats(unfair, unfair.candidates[0], "languages").join("\n");
    expect(notes).toContain("optimizer.learningRate.base (1, 0.5)");
    expect(notes).toContain("differ in tokens a step (8,192 and 4,096)");
    expect(notes).toContain("1.30× the FLOPs");
    expect(notes).toContain("different seeds (1; 7)");
    expect(notes).toContain("one seed a side");
    expect(notes).toContain("different backends (wasm, torch)");
  });

  test("damaged metrics, and the times that are lost with them, are said", () => {
    const lost = { ...syntheticRun({ ...common, name: "lost", speed: () => 2 }), metrics: [], damagedMetrics: [1, 2] };
    const unknown = reportData([baseline, lost], { resamples: 10 });
    const text = caveats(unknown, unknown.candidates[0], "languages").join("\n");
    expect(text).toMatch(/2 lines of lost's metrics\.jsonl are damaged.*the speed-up in time is unknown/s);
    expect(unknown.candidates[0].rows.map(({ time }) => time)).toEqual(unknown.candidates[0].rows.map(() => null));
  });

  test("lower bounds make the mean one", () => {
    const early = syntheticRun({ ...common, name: "early", speed: () => 50 });
    const bounded = reportData([baseline, early], { resamples: 10 });
    expect(headline(bounded, bounded.candidates[0], "languages")).toContain("speed-up ≥\u202f8.00×");
    expect(caveats(bounded, bounded.candidates[0], "languages").join()).toContain("lower bounds");
  });
});

describe("text from files is shown, never run", () => {
  test("in HTML", () => {
    const evil = `<script>alert("1")</script>`;
    expect(html`<b title="${evil}">${[evil, new Html("<i>")]}${null}${false}${0}</b>`.text).toBe(
      `<b title="${escapeHtml(evil)}">${escapeHtml(evil)}<i>0</b>`,
    );
    expect(escapeHtml(evil)).not.toMatch(/[<>"]/);
  });

  test("in Markdown", () => {
    const markdown = reportMarkdown(data, [[], []]);
    expect(markdown).toContain("bad\\|run \\<b\\>");
    expect(markdown).not.toContain("bad|run");
    for (const table of markdown.split("\n\n").filter((block) => block.startsWith("|"))) {
      const columns = table.split("\n").map((line) => line.replaceAll("\\|", "").split("|").length);
      expect(new Set(columns).size).toBe(1);
    }
  });

  test("in CSV, where a spreadsheet would run a formula", () => {
    const evil = { ...faster, description: { ...faster.description, name: `=HYPERLINK("x"),1` } };
    const lines = reportCsv(reportData([baseline, evil], { resamples: 2 })).split("\r\n");
    expect(lines).toHaveLength(7);
    expect(lines[1]).toMatch(/^"'=HYPERLINK\(""x""\),1",af,Afrikaans,main,16,-/);
  });
});

test("CSV holds every candidate's rows with as many cells as the header", () => {
  const lines = reportCsv(data).trimEnd().split("\r\n");
  expect(lines).toHaveLength(11);
  expect(new Set(lines.map((line) => line.split(",").length)).size).toBe(1);
});

describe("what the sides' sources are worth to them", () => {
  const make = (name: string, sourceUse: number | undefined, speed = 1) =>
    syntheticRun({ ...common, name, sourceUse, speed: () => speed, experts: speed > 1 ? 4 : 0 });
  const words = (mine: number | undefined, theirs: number | undefined): [string, string] => {
    const compared = reportData([make("dense", mine), make("switch", theirs, 3)], { resamples: 100 });
    const [candidate] = compared.candidates;
    return [finding(compared, candidate, "languages"), caveats(compared, candidate, "languages").join(" ")];
  };

  test("two models that never read them have no finding about speed", () => {
    const [found, notes] = words(0.03, 0.05);
    expect(found).toMatch(/^No comparison yet: neither switch nor dense/);
    expect(notes).toContain("Neither side reads its source (what the right source is worth: dense 0.03");
  });

  test("one that reads them is warned of, two are compared, and an unknown is not judged", () => {
    expect(words(0.5, 0.05)[1]).toContain("Only dense reads its source");
    expect(words(0.05, 0.5)[1]).toContain("Train on until dense does too");
    const pairs: [number | undefined, number | undefined][] = [
      [0.5, 0.6],
      [undefined, 0.02],
      [undefined, undefined],
    ];
    for (const [mine, theirs] of pairs) {
      const [found, notes] = words(mine, theirs);
      expect(found).toBe("switch learns faster than dense, in 4 of 4 languages");
      expect(notes).not.toContain("source");
    }
  });

  test("where only some seeds read theirs, each is named, whatever the mean", () => {
    const seeded = (name: string, uses: number[], speed: number) =>
      uses.map((use, i) => {
        const run = make(name, use, speed);
        return { ...run, description: { ...run.description, seed: i + 1 } };
      });
    const notes = (mine: number[], theirs: number[]): string => {
      const runs = [...seeded("dense", mine, 1), ...seeded("switch", theirs, 3)];
      const compared = reportData(runs, { resamples: 20 });
      return caveats(compared, compared.candidates[0], "languages").join(" ");
    };
    expect(notes([0.02, 0.37], [0.4, 0.5])).toContain(
      "Only 3 of 4 runs read their source (what the right source is worth: dense (2 seeds) 0.02, 0.37 nats a token; switch (2 seeds) 0.40, 0.50 nats a token)",
    );
    expect(notes([0.02, 0.03], [0.4, 0.02])).toContain("Only 1 of 4 runs read their source");
    expect(notes([0.02, 0.03], [0.4, 0.5])).toContain("Only switch (2 seeds) reads its source");
    expect(notes([0.02, 0.03], [0.02, 0.05])).toContain("Neither side reads its source");
    expect(notes([0.2, 0.3], [0.4, 0.5])).not.toContain("source");
  });

  test("the CSV has them by language, and nothing where they are unknown", () => {
    const lines = reportCsv(reportData([make("dense", 0.5), make("switch", undefined, 3)], { resamples: 2 })).split(
      "\r\n",
    );
    expect(lines[0]).toMatch(/,baseline_source_use,candidate_source_use$/);
    expect(lines[1]).toMatch(/,0\.5,$/);
  });
});
