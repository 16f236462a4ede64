import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { readDocuments } from "./readDocuments.js";

const folder = mkdtempSync(join(tmpdir(), "mswitch-kinds-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Texts with their lines, and causes with theirs, of a file of this name. */
async function read(name: string, bytes: string | Uint8Array, textField?: string) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const found = { documents: [] as [string, number][], rejections: [] as [string, number][], details: "" };
  for await (const { documents, rejections, summary } of readDocuments(path, { textField })) {
    for (const { text, line } of documents) found.documents.push([Buffer.from(text).toString(), line]);
    for (const { cause, line, detail } of rejections) {
      found.rejections.push([cause, line]);
      found.details += detail;
    }
    if (summary) expect(summary.bytes).toBe(Buffer.from(bytes).length);
  }
  return found;
}

const json = ['{"text": "een"}', '{"text": "twee"}', '{"text": "drie"}'].join("\n");
const three = [
  ["een", 1],
  ["twee", 2],
  ["drie", 3],
];

describe("a file that is something else than its name says is named for what it is", () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
  const page = "<!DOCTYPE html><html><body>404</body></html>";
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(json, "utf16le")]);
  it.each([
    ["a.json.gz", pointer, "git-lfs-pointer", /git lfs pull/],
    ["a.parquet", pointer, "git-lfs-pointer", /git lfs pull/],
    ["b.json.gz", page, "html", /HTML/],
    ["b2.json.gz", gzipSync(page), "html", /HTML/],
    ["b3.txt", `\n ${page}`, "html", /HTML/],
    ["c.json.gz", json, "not-gzip", /JSON that is not compressed; rename/],
    ["c.json.zst", json, "not-zstd", /JSON that is not compressed; rename/],
    ["d.json", gzipSync(json), "mislabelled", /gzip.*rename/],
    ["e.txt", Buffer.from("PK\x03\x04rest"), "mislabelled", /ZIP/],
    ["f.json.gz", gzipSync(gzipSync(json)), "compressed-twice", /compressed again \(gzip\)/],
    ["g.txt", utf16, "mislabelled", /UTF-16/],
    ["h.parquet", json, "not-parquet", /Parquet/],
  ])("%s", async (name, bytes, cause, detail) => {
    const { documents, rejections, details } = await read(name, bytes);
    expect({ documents, rejections }).toEqual({ documents: [], rejections: [[cause, 1]] });
    expect(details).toMatch(detail);
  });
});

describe("what is harmless loses nothing", () => {
  it("a byte order mark", async () => {
    expect((await read("bom.jsonl", `\ufeff${json}`)).documents).toEqual(three);
    expect((await read("bom.json.gz", gzipSync(`\ufeff${json}`))).documents).toEqual(three);
    expect((await read("bom.csv", "\ufefftext,n\neen,1\n")).documents).toEqual([["een", 2]]);
  });

  it("zeros between gzip members and at the end", async () => {
    const members = json.split("\n").map((line) => Buffer.concat([gzipSync(`${line}\n`), Buffer.alloc(70_000)]));
    const { documents, rejections } = await read("padded.json.gz", Buffer.concat(members));
    expect({ documents, rejections }).toEqual({ documents: three, rejections: [] });
    const garbage = Buffer.concat([...members, Buffer.from("garbage")]);
    expect(await read("garbage.json.gz", garbage)).toMatchObject({
      documents: three,
      rejections: [["corrupt-gzip", 4]],
    });
  });
});

describe("formats", () => {
  it("JSON lines with the text in another field, plain ones and unusual ones", async () => {
    const lines = ['{"content": "een", "text": "no"}', '{"n": 1, "content": "twee"}', '{"text": "drie"}'].join("\n");
    const { documents, rejections, details } = await read("field.jsonl", lines, "content");
    expect(documents).toEqual(three.slice(0, 2));
    expect(rejections).toEqual([["missing-text", 3]]);
    expect(details).toMatch(/no field content.*--text-field.*text/);
  });

  it("text, a document a line", async () => {
    const { documents, rejections } = await read("a.txt", Buffer.from('een\r\n\n{"drie"}\n\xff\n', "latin1"));
    expect(documents).toEqual([
      ["een", 1],
      ['{"drie"}', 3],
    ]);
    expect(rejections).toEqual([["invalid-utf8", 4]]);
  });

  it("tables, with quotes, newlines and empty cells; tabs", async () => {
    const table = 'n,text\r\n1,"een, ""of"" zo"\r\n2,"twee\r\nregels"\r\n3,\r\n4,vier\r\n';
    const { documents, rejections } = await read("a.csv.gz", gzipSync(table));
    expect(documents).toEqual([
      ['een, "of" zo', 2],
      ["twee\r\nregels", 3],
      ["vier", 5],
    ]);
    expect(rejections).toEqual([["empty-text", 4]]);
    expect((await read("a.tsv", "text\tn\neen\t1\n")).documents).toEqual([["een", 2]]);
    const broken = await read("b.csv", 'text\neen\n"twee\n');
    expect(broken).toMatchObject({ documents: [["een", 2]], rejections: [["invalid-csv", 3]] });
    const within = await read("within.tsv", `text\tn\neen\t1\n5" ${"\u00e9".repeat(1000)}\t2\n`);
    expect(within).toMatchObject({ documents: [["een", 2]], rejections: [["invalid-csv", 3]] });
    expect(within.details).toMatch(/line 3; a field that holds quotes must stand in quotes/);
    expect(within.details.length).toBeLessThan(250);
    const long = await read("long.csv", `n,text\n1,een\n2,"${"a".repeat(3 * 2 ** 20)}"\n3,drie\n`);
    expect(long).toMatchObject({
      documents: [
        ["een", 2],
        ["drie", 4],
      ],
      rejections: [["line-too-long", 3]],
    });
    expect((await read("c.csv", "a,b\n1,2\n")).rejections).toEqual([["missing-text", 2]]);
  });

  it("Parquet, written by pyarrow with Zstandard, in two row groups", async () => {
    const bytes = Buffer.from(croatian, "base64");
    const { documents, rejections } = await read("a.parquet", bytes, "content");
    expect(documents).toEqual([
      ["Sva ljudska bića rađaju se slobodna", 1],
      ["i jednaka u dostojanstvu i pravima.", 2],
      ["čćžšđ", 5],
    ]);
    expect(rejections).toEqual([
      ["missing-text", 3],
      ["empty-text", 4],
    ]);
    expect((await read("b.parquet", bytes)).details).toMatch(/no column text.*content, n/);
    const cut = Buffer.concat([bytes.subarray(0, 40), Buffer.alloc(40, 0xff), bytes.subarray(80)]);
    expect((await read("c.parquet", cut, "content")).rejections[0][0]).toBe("corrupt-parquet");
  });
});

const croatian =
  "UEFSMRUEFaABFagBTBUEFQASAAAotS/9IFBdAgACxREawCUd/w90btyWZPMmd9sbH6VoRjUIWsAVrgyCEy4dFXzeROg5JqFpXr/8GEFfVQF+LEcaNVEv/lAc+Ybihl/UFo2fBlUVCAAVABUSFSQsFQYVEBUGFQYcNgIoI2kgamVkbmFrYSB1IGRvc3RvamFuc3R2dSBpIHByYXZpbWEuGCVTdmEgbGp1ZHNrYSBiacSHYSByYcSRYWp1IHNlIHNsb2JvZG5hEREAAAAotS/9IAlJAAACAAAAAwMBAwIVBBUwFTpMFQYVABIAACi1L/0gGKUAAGABAAIAAwAAAAAAAAACAGDgAWABFQAVFBUmLBUGFRAVBhUGHBgIAwAAAAAAAAAYCAEAAAAAAAAAFgAoCAMAAAAAAAAAGAgBAAAAAAAAABERAAAAKLUv/SAKUQAAAgAAAAYBAgMkABUEFSQVNkwVBBUAEgAAKLUv/SASkQAAAAAAAAoAAADEjcSHxb7FocSRFQAVEhUkLBUEFRAVBhUGHDYAKArEjcSHxb7FocSRGAAREQAAACi1L/0gCUkAAAIAAAAEAQEDAhUEFSAVMkwVBBUAEgAAKLUv/SAQgQAABAAAAAAAAAAFAAAAAAAAABUAFRIVJCwVBBUQFQYVBhwYCAUAAAAAAAAAGAgEAAAAAAAAABYAKAgFAAAAAAAAABgIBAAAAAAAAAAREQAAACi1L/0gCUkAAAIAAAAEAQEDAhUEGTw1ABgGc2NoZW1hFQQAFQwlAhgHY29udGVudCUATBwAAAAVBCUCGAFuABYKGSwZLCYAHBUMGTUABhAZGAdjb250ZW50FQwWBhaYAxayAybQASYIHDYCKCNpIGplZG5ha2EgdSBkb3N0b2phbnN0dnUgaSBwcmF2aW1hLhglU3ZhIGxqdWRza2EgYmnEh2EgcmHEkWFqdSBzZSBzbG9ib2RuYRERABksFQQVABUCABUAFRAVAgA8FpABGQYZJgIEAAAAJgAcFQQZNQAGEBkYAW4VDBYGFt4BFvoBJpAEJroDHBgIAwAAAAAAAAAYCAEAAAAAAAAAFgAoCAMAAAAAAAAAGAgBAAAAAAAAABERABksFQQVABUCABUAFRAVAgA8KQYZJgAGAAAAFvYEFgYmCBasBQAZLCYAHBUMGTUABhAZGAdjb250ZW50FQwWBBacARbAASaGBia0BRw2ACgKxI3Eh8W+xaHEkRgAEREAGSwVBBUAFQIAFQAVEBUCADwWFBkGGSYABAAAACYAHBUEGTUABhAZGAFuFQwWBBbMARbwASbCByb0BhwYCAUAAAAAAAAAGAgEAAAAAAAAABYAKAgFAAAAAAAAABgIBAAAAAAAAAAREQAZLBUEFQAVAgAVABUQFQIAPCkGGSYABAAAABboAhYEJrQFFrADABkcGAxBUlJPVzpzY2hlbWEY7AEvLy8vLzZnQUFBQVFBQUFBQUFBS0FBd0FCZ0FGQUFnQUNnQUFBQUFCQkFBTUFBQUFDQUFJQUFBQUJBQUlBQUFBQkFBQUFBSUFBQUJNQUFBQUJBQUFBTXovLy84QUFBRUNFQUFBQUJ3QUFBQUVBQUFBQUFBQUFBRUFBQUJ1QUFBQUNBQU1BQWdBQndBSUFBQUFBQUFBQVVBQUFBQVFBQlFBQ0FBR0FBY0FEQUFBQUJBQUVBQUFBQUFBQVFVUUFBQUFIQUFBQUFRQUFBQUFBQUFBQndBQUFHTnZiblJsYm5RQUJBQUVBQVFBQUFBPQAYIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjUuMC4xGSwcAAAcAAAAKQMAAFBBUjE=";
