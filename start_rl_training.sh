#!/usr/bin/env bash
# Trains a tutor in the simulated classroom.  Without arguments: the embedded default for this
# machine.  ./start_rl_training.sh --help lists what it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/environment.sh
set_up_environment
exec "$PYTHON" -m src.launch "$@"
