import { readdir, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MswitchError, messageOf } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { escapeHtml } from "../report/render/html.js";

export interface WatchOptions {
  /** Run directories whose files are looked at. */
  runs: readonly string[];
  /** Makes the page anew. */
  render: () => Promise<string>;
  /** 0 takes a free one. */
  port: number;
  /** Between two looks, milliseconds. */
  interval: number;
  log: Log;
  signal: AbortSignal;
}

/**
 * Serves a report's page on this machine's loopback address and makes it anew whenever a run has a new evaluation, until `signal` is
 * aborted. While runs cannot be compared yet, the page says why.
 *
 * @throws MswitchError where the port is taken
 */
export async function watchReport({ runs, render, port, interval, log, signal }: WatchOptions): Promise<void> {
  let version = "";
  let page = "";
  const refresh = async (): Promise<void> => {
    const now = await stateOf(runs);
    if (now === version) return;
    try {
      page = withReload(await render(), now);
    } catch (error) {
      if (!(error instanceof MswitchError)) throw error;
      page = withReload(waitingHtml(error.message), now);
    }
    version = now;
  };
  await refresh();
  const server = createServer(({ url }, response) => {
    if (url === "/version") response.setHeader("content-type", "text/plain").end(version);
    else if (url === "/") response.setHeader("content-type", "text/html; charset=utf-8").end(page);
    else response.writeHead(404).end();
  });
  await listen(server, port);
  log.info(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}/ shows the report; it follows the runs until Ctrl-C`,
  );
  try {
    while (!signal.aborted) {
      await delay(interval, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await refresh();
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Stands in the report's place while there is none. */
export function waitingHtml(why: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>mswitch report</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:70ch;margin:3em auto;padding:0 1em}</style></head>
<body><main><h1>No report yet</h1><p role="status">${escapeHtml(why)}</p><p>This page follows the runs and loads anew after their next evaluation.</p></main></body></html>`;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new MswitchError("the page cannot be served", {
          code: "port-not-usable",
          where: `127.0.0.1:${port}`,
          why: messageOf(error),
          hint: "name another --port, or none",
          cause: error,
        }),
      ),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
}

/** Names and times of all evaluations of the runs. */
async function stateOf(runs: readonly string[]): Promise<string> {
  const lists = await Promise.all(
    runs.map(async (run) => {
      const folder = join(run, "eval");
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json")).sort();
      const times = await Promise.all(names.map((name) => stat(join(folder, name)).then(({ mtimeMs }) => mtimeMs)));
      return names.map((name, i) => `${name}@${times[i]}`).join();
    }),
  );
  return lists.join(";");
}

/** The page asks every two seconds whether there is a newer one. */
function withReload(page: string, version: string): string {
  const script = `<script>setInterval(async()=>{try{const t=await(await fetch("/version")).text();if(t!==${JSON.stringify(version)})location.reload()}catch{}},2000)</script>`;
  return page.includes("</body>") ? page.replace("</body>", () => `${script}</body>`) : page + script;
}
