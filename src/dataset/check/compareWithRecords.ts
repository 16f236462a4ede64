import { isDeepStrictEqual } from "node:util";
import { manifestFile } from "../format/buildManifest.js";
import type { DatasetManifest } from "../format/manifest.js";
import { recordFile } from "../format/shardRecord.js";
import { type DatasetFault, mendHint, redoHint, rewriteHint } from "../read/tokenFileFault.js";

/**
 * Where a manifest says other things than the one that the records make.
 *
 * @param faulty records that could not be used: their shards are passed over, and totals cannot be compared
 */
export function compareWithRecords(
  manifest: DatasetManifest,
  rebuilt: DatasetManifest,
  faulty: ReadonlySet<string>,
): DatasetFault[] {
  const faults: DatasetFault[] = [];
  const recorded = new Map(rebuilt.shards.map((shard) => [shard.file, shard]));
  const listed = new Set<string>();
  for (const shard of manifest.shards) {
    if (listed.has(shard.file)) {
      faults.push({ file: manifestFile, fault: `lists ${shard.file} twice`, hint: rewriteHint });
      continue;
    }
    listed.add(shard.file);
    const file = recordFile(shard.file);
    const other = recorded.get(shard.file);
    if (!other) {
      if (!faulty.has(file)) faults.push({ file, fault: "is absent", hint: mendHint });
      continue;
    }
    for (const key of Object.keys(shard) as (keyof typeof shard)[]) {
      if (shard[key] === other[key]) continue;
      const said = `says ${key} ${other[key]}, ${manifestFile} says ${shard[key]}`;
      faults.push({ file, fault: said, hint: redoHint(file) });
      break;
    }
  }
  for (const { file } of rebuilt.shards) {
    if (!listed.has(file)) {
      faults.push({ file: manifestFile, fault: `does not list ${file}, which has a record`, hint: rewriteHint });
    }
  }
  if (faulty.size > 0 || faults.length > 0) return faults;
  if (manifest.content !== rebuilt.content) {
    const text = `says content ${manifest.content ?? "text"}, the records make ${rebuilt.content ?? "text"}`;
    faults.push({ file: manifestFile, fault: text, hint: rewriteHint });
  }
  for (const key of ["languages", "rejected"] as const) {
    if (isDeepStrictEqual(manifest[key], rebuilt[key])) continue;
    const wrong = Object.keys({ ...manifest[key], ...rebuilt[key] }).find(
      (name) => !isDeepStrictEqual(manifest[key][name], rebuilt[key][name]),
    );
    const [says, makes] = [manifest, rebuilt].map((one) => JSON.stringify(one[key][wrong ?? ""]) ?? "nothing");
    const text = `says ${says} under ${key}.${wrong}, the records make ${makes}`;
    faults.push({ file: manifestFile, fault: text, hint: rewriteHint });
  }
  if (!isDeepStrictEqual(manifest.shards, rebuilt.shards)) {
    faults.push({ file: manifestFile, fault: "lists the shards in another order than theirs", hint: rewriteHint });
  }
  return faults;
}
