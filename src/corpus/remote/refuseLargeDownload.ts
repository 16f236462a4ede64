import { usageError } from "../../base/errors.js";
import { formatBytes } from "../../base/format.js";
import type { Shard } from "../shards/shard.js";
import { isRemote } from "./remoteFile.js";
import { expectedBytes } from "./shardSize.js";

/** More than this is downloaded only where the user has said yes. */
const maxUnaskedBytes = 100e9;

/**
 * Refuses downloads that would take days before the first of them.
 *
 * @throws usageError that says how much it is and how to say yes
 */
export function refuseLargeDownload(shards: readonly Shard[]): void {
  const remote = shards.filter(({ path }) => isRemote(path));
  const bytes = remote.reduce((sum, shard) => sum + expectedBytes(shard), 0);
  if (bytes <= maxUnaskedBytes) return;
  throw usageError(`this would download about ${formatBytes(bytes)}`, {
    code: "download-too-large",
    why: `${remote.length.toLocaleString("en-US")} shards are still to be had from servers, and above ${formatBytes(maxUnaskedBytes)} that needs a yes`,
    hint: "add --yes, or choose --languages; --plan says what it takes",
  });
}
