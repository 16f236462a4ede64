// Exit code 0 where tfjs-node loads here, from `mswitch setup tfjs-node` as it is now or installed by the user.
import { existsSync } from "node:fs";

const { findBackends } = await import("../dist/backends/loadBackend.js");
const { captureAddon, tensorFlowHome } = await import("../dist/backends/packageBackend.js");
const found = (await findBackends()).some(({ name, usable }) => name === "tfjs-node" && usable);
const home = tensorFlowHome("tfjs-node");
const isOld = existsSync(home) && !existsSync(captureAddon(home));
process.exit(found && !isOld ? 0 : 1);
