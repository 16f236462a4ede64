/** What ends a run: a keyboard, `kill`, a closed terminal, and what Slurm and others send before the time is up. */
const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/**
 * Runs `work` with a signal that is aborted by the first of `stopSignals`, so that it can stop where it is safe. A second SIGINT ends
 * the process at once with exit code 130; others that follow are what schedulers send while the work is stopping, and change nothing.
 */
export async function withInterrupt<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      if (name === "SIGINT") process.exit(130);
      return;
    }
    controller.abort(name);
    process.stderr.write(`${name}: stopping at the next safe point; Ctrl-C (SIGINT) to stop at once\n`);
  };
  // A terminal that was closed takes no output any more: that must not end the work before its checkpoint.
  const ignore = (): void => undefined;
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignore);
  for (const name of stopSignals) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of stopSignals) process.off(name, onSignal);
    for (const stream of [process.stdout, process.stderr]) stream.off("error", ignore);
  }
}
