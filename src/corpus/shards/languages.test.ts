import { describe, expect, it } from "vitest";
import {
  allLanguages,
  findLanguage,
  isLanguageCode,
  languageName,
  requireLanguageCode,
  requireLanguages,
  unknownLanguageHint,
} from "./languages.js";

describe("the table of languages", () => {
  it("holds mC4's 107 tasks, 101 languages and 6 Latin-script variants", () => {
    const tasks = allLanguages();
    expect(tasks).toHaveLength(107);
    expect(new Set(tasks.map((task) => task.code)).size).toBe(107);
    expect(new Set(tasks.map((task) => task.language)).size).toBe(101);
    const variants = tasks.filter((task) => task.latinVariant).map((task) => task.code);
    expect(variants.sort()).toEqual(["bg-Latn", "el-Latn", "hi-Latn", "ja-Latn", "ru-Latn", "zh-Latn"]);
    for (const task of tasks) expect(findLanguage(task.language)?.latinVariant).toBe(false);
  });

  it("agrees with the published totals", () => {
    const sum = (value: (task: ReturnType<typeof allLanguages>[number]) => number) =>
      allLanguages().reduce((total, task) => total + value(task), 0);
    expect(sum((task) => task.trainShards)).toBe(55_952);
    expect(sum((task) => task.validationShards)).toBe(354);
    expect(sum((task) => task.tokensBillions) / 1000).toBeCloseTo(6.3, 1);
    expect(sum((task) => task.trainPages) / 1e9).toBeCloseTo(6.66, 2);
    expect(sum((task) => task.mt5Percent)).toBeCloseTo(100, 1);
    expect(sum((task) => task.figure7.mSwitchBase - task.figure7.mt5Base) / 107).toBeCloseTo(0.204, 3);
  });

  it("gives mT5's percentages as pages to the power 1/3.3, to the rounding", () => {
    const weights = allLanguages().map((task) => task.trainPages ** (1 / 3.3));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, task] of allLanguages().entries()) {
      expect(Math.abs(task.mt5Percent - (100 * weights[i]) / total), task.code).toBeLessThan(0.0151);
    }
  });
});

describe("requireLanguages", () => {
  it("takes all, or a list", () => {
    expect(requireLanguages("all")).toHaveLength(107);
    expect(requireLanguages(" iw, no,zh-Latn,no")).toEqual(["iw", "no", "zh-Latn"]);
  });

  it.each([
    ["he", /did you mean iw \(Hebrew\)/],
    ["zh_Latn", /zh-Latn \(Chinese \(Latin\)\)/],
    ["af,und", /undetermined/],
    ["norwegan", /no \(Norwegian\)/],
    ["qqqqqqqqqqqqqq", /listed/],
  ])("refuses %s and helps", (list, hint) => {
    expect(() => requireLanguages(list)).toThrow(
      expect.objectContaining({
        code: "unknown-language",
        hint: expect.stringMatching(hint),
        exitCode: 2,
      }),
    );
  });

  it("refuses an empty list", () => {
    expect(() => requireLanguages(" ,")).toThrow(expect.objectContaining({ code: "no-language" }));
  });
});

describe("codes beside mC4's", () => {
  it.each(["hr", "bs", "br", "tt", "bo", "sr-Latn", "pt-BR", "es-419"])("%s is a language", (code) => {
    expect(isLanguageCode(code)).toBe(true);
    expect(requireLanguages(code)).toEqual([code]);
    // None of them is taken for a neighbour.
    expect(unknownLanguageHint(code)).not.toMatch(/did you mean/);
  });

  it.each(["und", "he", "hrv", "xx", "zh-Latin", "sr-latn", "pt-XQ", "a", ""])("%s is none", (code) => {
    expect(isLanguageCode(code)).toBe(false);
  });

  it.each(["zh-Hant", "zh-Hans"])("%s is mC4's zh", (code) => {
    expect(unknownLanguageHint(code)).toMatch(/did you mean zh \(/);
  });

  it("one's own corpus may have any code that BCP 47 can write", () => {
    for (const code of ["hr", "he", "aab", "sr-Latn"]) expect(requireLanguageCode(code)).toBe(code);
    for (const code of ["hrv", "Croatian!", "sr_Latn"]) {
      expect(() => requireLanguageCode(code)).toThrow(expect.objectContaining({ code: "unknown-language" }));
    }
    expect(languageName("hr")).toBe("Croatian");
    expect(languageName("zz")).toBeUndefined();
  });
});
