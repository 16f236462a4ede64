// Exit code 0 where tfjs-node loads here: from `mswitch setup tfjs-node`, or installed by the user.
const { findBackends } = await import("../dist/backends/loadBackend.js");
const found = (await findBackends()).some(({ name, usable }) => name === "tfjs-node" && usable);
process.exit(found ? 0 : 1);
