#!/usr/bin/env bash
# Four nodes of four GPUs under Slurm: sbatch scripts/slurm_example.sh
# Each node starts its own engines and holds its share of the conversations; accelerate joins the
# ranks of all nodes.  The folder (code, environment, runs) must be the same file system everywhere.
#SBATCH --job-name=tutor-rl
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --time=24:00:00
# after a preemption or a lost node Slurm starts it again
#SBATCH --requeue
# ten minutes before the time is up every step gets SIGTERM: the batch at hand is finished, a
# checkpoint written, and the job put back into the queue, to go on from it
#SBATCH --signal=TERM@600
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"

NODES="${SLURM_NNODES:-4}"
GPUS="${SLURM_GPUS_ON_NODE:-4}"
HEAD="$(scontrol show hostnames "${SLURM_JOB_NODELIST:-}" | sed -n 1p)" # head would end the pipe
PORT=$((20000 + ${SLURM_JOB_ID:-0} % 20000))
export TUTOR_RL_GRACE_SECONDS=540

# \$SLURM_PROCID is each node's own; run_name is the same on all, and each time: the job's name
# (sbatch --job-name), so that another sbatch of that name goes on with an unfinished run
code=0
srun --kill-on-bad-exit=1 bash -c "./start_rl_training.sh \
    --config_file config/deepspeed/zero3_4GPU.yaml \
    --num_machines $NODES --num_processes $((NODES * GPUS)) --machine_rank \$SLURM_PROCID \
    --main_process_ip $HEAD --main_process_port $PORT \
    --config-name 7b.yaml run_name=${SLURM_JOB_NAME:-tutor-rl} $*" || code=$?
if [ "$code" = 130 ] || [ "$code" = 143 ]; then # told to stop, with a checkpoint
    scontrol requeue "${SLURM_JOB_ID:-0}"
fi
exit "$code"
