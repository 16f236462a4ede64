#!/bin/bash
# Preprocesses on Slurm: an array of TASKS tasks, each `mswitch preprocess --task I/TASKS`, and a last job that runs the same command
# without --task: it mends what failed, finds the rest done, and writes dataset.json.
#
#   TASKS=100 CPUS=16 pipelines/slurm/preprocess.sh --source /mc4 --vocab mt5.model --out /scratch/tokens --languages all
#
# Arguments are those of `mswitch preprocess`; --out lies on a file system that all nodes share. `mswitch preprocess --plan` says what to expect.
#   TASKS    tasks of the array (default 16); no more than there are shards
#   CPUS     cores and workers of one task (default 8)
#   MEMORY   of one task (default 4G)
#   TIME     limit of one task (default 04:00:00); one that reaches it stops cleanly and is queued again
#   MSWITCH  the program (default mswitch)
# Account, partition and the like: sbatch's own variables, SBATCH_ACCOUNT, SBATCH_PARTITION …
# Prints the two job ids.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tasks=${TASKS:-16}
cpus=${CPUS:-8}
if [ $# -eq 0 ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
submit() {
  # --signal: SIGTERM a minute before the limit, to the script, which passes it on.
  sbatch --parsable --requeue --open-mode=append --signal=B:TERM@60 --nodes=1 --ntasks=1 --cpus-per-task="$cpus" \
    --mem="${MEMORY:-4G}" --time="${TIME:-04:00:00}" "$@"
}
export MSWITCH=${MSWITCH:-mswitch}
array=$(submit --job-name=mswitch-preprocess --array="0-$((tasks - 1))" "$here/preprocess.sbatch" "$@")
finish=$(submit --job-name=mswitch-finish --dependency="afterany:$array" "$here/preprocess.sbatch" "$@")
echo "$array $finish"
