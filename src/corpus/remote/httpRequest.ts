import { type IncomingHttpHeaders, type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";

/** Milliseconds. */
export interface RequestTimeouts {
  /** Until a new connection stands, TLS included. */
  connectMs: number;
  /** Without a byte either way, while waiting for the answer as well as within it. */
  idleMs: number;
}

export interface HttpRequest {
  method?: "GET" | "HEAD";
  headers?: Record<string, string>;
  timeouts: RequestTimeouts;
  signal?: AbortSignal;
}

export interface HttpResponse {
  status: number;
  /** Headers of the answer that is no redirection; Hugging Face's `x-linked-…` come from the redirections before it. */
  headers: IncomingHttpHeaders;
  /** The body as it is sent: nothing is inflated. Must be read or destroyed. */
  body: IncomingMessage;
  /** The address that answered. */
  url: URL;
}

/** Something that may be otherwise the next time. */
export class TransientFault extends Error {}

const maxRedirections = 5;

/**
 * One request, redirections followed. Not `fetch`, which inflates what a server sends as `Content-Encoding: gzip`, as some do
 * with every `.gz`: lengths, ranges and checksums are those of the bytes as they are sent.
 *
 * @throws TransientFault or an error with a `code` where no answer came; an answer of any status is no error
 */
export async function httpRequest(url: string, options: HttpRequest): Promise<HttpResponse> {
  const linked: IncomingHttpHeaders = {};
  let target = new URL(url);
  for (let redirections = 0; ; redirections++) {
    const message = await send(target, options);
    const status = message.statusCode ?? 0;
    for (const [name, value] of Object.entries(message.headers)) {
      if (name.startsWith("x-linked-")) linked[name] = value;
    }
    const headers = { ...message.headers, ...linked };
    const { location } = message.headers;
    const redirected = status >= 301 && status <= 308 && status !== 304 && location !== undefined;
    // The store behind Hugging Face signs its addresses for GET alone; what HEAD is asked for is known before.
    const known = options.method === "HEAD" && linked["x-linked-size"] !== undefined;
    if (!redirected || known) return { status: redirected ? 200 : status, headers, body: message, url: target };
    message.resume();
    if (redirections === maxRedirections) throw new TransientFault(`redirected more than ${maxRedirections} times`);
    const next = URL.canParse(location, target.href) ? new URL(location, target) : undefined;
    if (next?.protocol !== "https:" && next?.protocol !== target.protocol) {
      throw new TransientFault(`redirected to ${location}`);
    }
    target = next;
  }
}

function send(target: URL, { method = "GET", headers, timeouts, signal }: HttpRequest): Promise<IncomingMessage> {
  const { connectMs, idleMs } = timeouts;
  return new Promise((resolve, reject) => {
    const secure = target.protocol === "https:";
    const settings = {
      method,
      headers: { "user-agent": "mswitch", "accept-encoding": "identity", ...headers },
      signal,
    };
    const request = secure ? requestSecure(target, settings) : requestPlain(target, settings);
    const seconds = (ms: number): string => `${ms / 1000} s`;
    request.setTimeout(idleMs, () => request.destroy(new TransientFault(`nothing came for ${seconds(idleMs)}`)));
    request.on("socket", (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(
        () => request.destroy(new TransientFault(`no connection within ${seconds(connectMs)}`)),
        connectMs,
      );
      const stop = (): void => clearTimeout(timer);
      socket.once(secure ? "secureConnect" : "connect", stop);
      socket.once("close", stop);
    });
    request.on("error", reject);
    request.on("response", resolve);
    request.end();
  });
}
