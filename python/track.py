"""Hands a run's measurements to W&B, MLflow or trackio. mswitch starts it (src/train/trackers/pythonTracker.ts), one process a tracker.

stdin, one JSON document a line: first {"tracker", "options", "name", "directory", "id", "config"}, `id` being what the tracker called
the run before, or null; then {"step", "values"} each time something was measured. The end of stdin ends the run.
stdout, one line: {"id"} once the tracker has taken the run, or {"error"}. What the tracker's package prints goes to stderr.
"""

import json
import os
import signal
import sys


def wandb(first):
    import wandb

    run = wandb.init(
        **first["options"],
        name=first["name"],
        config=first["config"],
        dir=first["directory"],
        id=first["id"],
        resume="allow",
    )
    return run.id, lambda step, values: run.log(values, step=step), run.finish


def mlflow(first):
    import mlflow

    options = first["options"]
    if "uri" in options:
        mlflow.set_tracking_uri(options["uri"])
    mlflow.set_experiment(options["experiment"])
    run = mlflow.start_run(run_id=first["id"], run_name=first["name"])
    if first["id"] is None:
        mlflow.log_params(first["config"])
    return run.info.run_id, lambda step, values: mlflow.log_metrics(values, step=step), mlflow.end_run


def trackio(first):
    import trackio

    trackio.init(**first["options"], name=first["name"], config=first["config"], resume="allow")
    return first["name"], lambda step, values: trackio.log(values, step=step), trackio.finish


def main():
    # Ctrl-C goes to the whole group; the run ends when mswitch closes stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    first = json.loads(sys.stdin.readline())
    tracker = {"wandb": wandb, "mlflow": mlflow, "trackio": trackio}[first["tracker"]]
    try:
        identifier, log, finish = tracker(first)
    except BaseException as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        sys.exit(1)
    print(json.dumps({"id": identifier}), file=answers, flush=True)
    for line in sys.stdin:
        measured = json.loads(line)
        log(measured["step"], measured["values"])
    finish()


if __name__ == "__main__":
    main()
