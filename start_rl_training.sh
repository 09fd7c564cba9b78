#!/usr/bin/env bash
# Trains a tutor in the simulated classroom.  Without arguments: the toy classroom
# (config/train_rl/toy.yaml).  ./start_rl_training.sh --help lists what it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/environment.sh
set_up_environment
exec "$PYTHON" -m src.launch "$@"
