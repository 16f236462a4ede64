import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file as a server has it at a moment. */
export interface ServedFile {
  body: Uint8Array;
  etag?: string;
  headers?: Record<string, string>;
}

/** What a request may meet; `serve` is how a sound server would answer. */
export type Behaviour = (request: {
  incoming: IncomingMessage;
  response: ServerResponse;
  file: ServedFile;
  /** How many requests for this file came before. */
  before: number;
  serve: (file?: ServedFile) => void;
}) => void;

export interface FlakyServer {
  /** `http://127.0.0.1:PORT` */
  url: string;
  files: Map<string, ServedFile>;
  behaviours: Map<string, Behaviour>;
  /** `METHOD /path[ range]` of every request. */
  requests: string[];
  close(): Promise<void>;
}

/** A server that has files by their path, and a behaviour for some. */
export async function startFlakyServer(): Promise<FlakyServer> {
  const files = new Map<string, ServedFile>();
  const behaviours = new Map<string, Behaviour>();
  const requests: string[] = [];
  const counts = new Map<string, number>();
  const server = createServer((incoming, response) => {
    const path = decodeURIComponent(new URL(incoming.url ?? "/", "http://x").pathname);
    const { range } = incoming.headers;
    requests.push(`${incoming.method} ${path}${range ? ` ${range}` : ""}`);
    const before = counts.get(path) ?? 0;
    counts.set(path, before + 1);
    const file = files.get(path);
    if (!file) {
      response.writeHead(404).end("no");
      return;
    }
    const serve = (what = file): void => serveFile(incoming, response, what);
    (behaviours.get(path) ?? (({ serve: soundly }) => soundly()))({ incoming, response, file, before, serve });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files,
    behaviours,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Answers as RFC 9110 wants it, ranges and If-Range included. */
function serveFile(incoming: IncomingMessage, response: ServerResponse, { body, etag, headers }: ServedFile): void {
  const common = { ...headers, ...(etag === undefined ? {} : { etag }) };
  const start = /^bytes=(\d+)-$/.exec(incoming.headers.range ?? "")?.[1];
  const condition = incoming.headers["if-range"];
  if (start !== undefined && (condition === undefined || condition === etag)) {
    if (Number(start) >= body.length) {
      response.writeHead(416, { "content-range": `bytes */${body.length}` }).end();
      return;
    }
    const part = body.subarray(Number(start));
    const range = `bytes ${start}-${body.length - 1}/${body.length}`;
    response.writeHead(206, { ...common, "content-length": part.length, "content-range": range }).end(part);
    return;
  }
  response.writeHead(200, { ...common, "content-length": body.length });
  response.end(incoming.method === "HEAD" ? undefined : body);
}

/** Sends the first bytes of a sound answer and then breaks the connection. */
export function cutAfter(bytes: number): Behaviour {
  return ({ incoming, response, file, serve }) => {
    const start = Number(/^bytes=(\d+)-$/.exec(incoming.headers.range ?? "")?.[1] ?? 0);
    const { socket } = response;
    if (incoming.method === "HEAD" || start + bytes >= file.body.length) return serve();
    const { body, etag } = file;
    const size = body.length;
    const headers: Record<string, string | number> = { "content-length": size - start };
    if (etag !== undefined) headers.etag = etag;
    if (start > 0) headers["content-range"] = `bytes ${start}-${size - 1}/${size}`;
    response.writeHead(start > 0 ? 206 : 200, headers);
    // What the client has not written to its file by the break it drops, on a busy machine too: the bytes go first, by far.
    response.write(body.subarray(start, start + bytes), () => setTimeout(() => socket?.destroy(), 200));
  };
}
