import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCode, MswitchError, messageOf } from "../../base/errors.js";
import { type HttpResponse, httpRequest, type RequestTimeouts, TransientFault } from "./httpRequest.js";
import { type RemoteFile, remoteFile } from "./remoteFile.js";

export interface HttpOptions extends RequestTimeouts {
  /** Failures in a row, without a new byte between them, after which a file is given up. */
  attempts: number;
  /** For one file with all its attempts and waits, in milliseconds. */
  totalMs: number;
  /** Wait after the first failure, in milliseconds; it doubles with each further one. */
  backoffMs: number;
  /** The longest wait, in milliseconds, chosen by us or asked for by a server (Retry-After): files that need more are given up. */
  maxWaitMs: number;
  /** Files given up in a row after which a server is asked for no more. */
  serverFailures: number;
}

export const defaultHttpOptions: HttpOptions = {
  connectMs: 20_000,
  idleMs: 60_000,
  totalMs: 6 * 3600_000,
  attempts: 8,
  backoffMs: 1000,
  maxWaitMs: 15 * 60_000,
  serverFailures: 4,
};

/** A file that could not be had: the message says from where, after how many attempts, why, and what to try. */
export class DownloadFault extends Error {}

/** An answer that is no success. */
class StatusFault extends TransientFault {
  constructor(
    readonly status: number,
    /** What Retry-After asks for. */
    readonly waitMs: number | undefined,
  ) {
    super(`the server answered ${status}${status === 429 ? " (too many requests)" : ""}`);
  }

  get final(): boolean {
    return this.status < 500 && ![408, 416, 425, 429].includes(this.status);
  }
}

/** Backing off grows to at most this, so that a server that has recovered is not left waiting. */
const maxBackoffMs = 60_000;

/**
 * Asks servers for files, patiently: exponential back-off with jitter, Retry-After honoured for all requests to that server, and
 * an end to it. A server that let several files fail in a row is not asked for the rest of them.
 */
export class HttpClient {
  private readonly options: HttpOptions;
  /** When a server may be asked again, by host; milliseconds since 1970. */
  private readonly notBefore = new Map<string, number>();
  private readonly given = new Map<string, number>();

  constructor(
    options: Partial<HttpOptions> = {},
    private readonly signal?: AbortSignal,
  ) {
    this.options = { ...defaultHttpOptions, ...options };
    // Every wait and every request listens to it; Node takes more than ten for a leak.
    if (signal) setMaxListeners(0, signal);
  }

  /**
   * Repeats `work` until it succeeds.
   *
   * @param work asked again after a TransientFault or an error with a `code`; gets the signal that ends an attempt
   * @param progress grows whenever something new was had: failures before that are forgotten
   * @throws DownloadFault; whatever else `work` throws; MswitchError (exit code 130) when the run is aborted
   */
  async retry<T>(url: string, work: (signal: AbortSignal) => Promise<T>, progress = () => 0): Promise<T> {
    const { attempts, backoffMs, maxWaitMs, totalMs, serverFailures } = this.options;
    const { host } = new URL(url);
    const deadline = Date.now() + totalMs;
    let [failures, tried, reached] = [0, 0, progress()];
    for (;;) {
      if ((this.given.get(host) ?? 0) >= serverFailures) {
        throw new DownloadFault(`not asked for: ${host} let ${serverFailures} files in a row fail; try again later`);
      }
      await this.wait(host, (this.notBefore.get(host) ?? 0) - Date.now());
      tried++;
      const ending = new AbortController();
      const end = (): void => ending.abort();
      const timer = setTimeout(end, Math.max(0, deadline - Date.now()));
      this.signal?.addEventListener("abort", end);
      try {
        const result = await work(ending.signal);
        this.given.delete(host);
        return result;
      } catch (error) {
        if (this.signal?.aborted) throw interrupted(host);
        if (error instanceof MswitchError || !isTransient(error)) throw error;
        if (error instanceof StatusFault && error.final) throw refused(error);
        failures = progress() > reached ? 1 : failures + 1;
        reached = progress();
        const backoff = Math.min(maxBackoffMs, backoffMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
        const asked = error instanceof StatusFault ? error.waitMs : undefined;
        const wait = Math.max(backoff, asked ?? 0);
        const late = Date.now() + wait >= deadline;
        if (failures >= attempts || wait > maxWaitMs || late) {
          this.given.set(host, (this.given.get(host) ?? 0) + 1);
          const why = ending.signal.aborted ? `not done within ${totalMs / 1000} s` : describe(error);
          const pause =
            asked !== undefined && asked >= backoff ? `, asking for a pause of ${Math.ceil(asked / 1000)} s` : "";
          throw new DownloadFault(
            `given up after ${tried} ${tried === 1 ? "attempt" : "attempts"}: ${why}${pause}; see whether ${host} is up, then run the same command again`,
          );
        }
        if (asked !== undefined) this.notBefore.set(host, Math.max(this.notBefore.get(host) ?? 0, Date.now() + asked));
        await this.wait(host, wait);
      } finally {
        clearTimeout(timer);
        this.signal?.removeEventListener("abort", end);
      }
    }
  }

  /**
   * One request, for use within `retry`.
   *
   * @throws TransientFault for any answer but success
   */
  async get(url: string, signal: AbortSignal, headers: Record<string, string> = {}): Promise<HttpResponse> {
    const response = await httpRequest(url, { headers, timeouts: this.options, signal });
    if (response.status === 200 || response.status === 206) return response;
    response.body.destroy();
    throw new StatusFault(response.status, retryAfter(response.headers["retry-after"]));
  }

  /** What the server says of a file; nothing where it refuses to say. Patient as `retry` is. */
  async head(url: string): Promise<RemoteFile> {
    return this.retry(url, async (signal) => {
      const { status, headers, body } = await httpRequest(url, { method: "HEAD", timeouts: this.options, signal });
      body.resume();
      if (status === 200) return remoteFile(status, headers);
      const fault = new StatusFault(status, retryAfter(headers["retry-after"]));
      if (fault.final || status === 501) return {};
      throw fault;
    });
  }

  private async wait(host: string, ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.signal }).catch(() => undefined);
    if (this.signal?.aborted) throw interrupted(host);
  }
}

function interrupted(host: string): MswitchError {
  return new MswitchError("interrupted", {
    code: "interrupted",
    why: `${host} was being asked`,
    hint: "the same command goes on from there",
    exitCode: exitCode.interrupted,
  });
}

function isTransient(error: unknown): boolean {
  return error instanceof TransientFault || typeof (error as NodeJS.ErrnoException)?.code === "string";
}

function refused(error: StatusFault): DownloadFault {
  const hint =
    error.status === 404 || error.status === 410
      ? "there is no such file; see whether the address is right"
      : "see whether the address is right and may be read without an account";
  return new DownloadFault(`${error.message}: ${hint}`);
}

function describe(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  const message = messageOf(error);
  if (code === "ECONNRESET") return `the connection broke (${message})`;
  return message || String(code);
}

/** Milliseconds that a Retry-After asks for: seconds, or a date. */
function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
