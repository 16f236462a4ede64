import { setFlagsFromString } from "node:v8";

/**
 * Keeps what V8 sets aside for new objects, in all threads of this process, at the size it has: V8 would let it grow to 48 MB a thread,
 * and a thread that handles buffers fills that with views of buffers that are long gone.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
