#!/usr/bin/env bash
# Does what a newcomer does: a clone of what is committed, an empty virtual environment, and the first blocks of README.md as they stand.
# newcomer.sh 1 2 runs the first and the second sh block; .ci/run runs the second alone.
set -euo pipefail
[ $# -gt 0 ] || { echo "newcomer.sh: name the blocks to run, such as 1 2" >&2; exit 2; }
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$top" "$work/ravine"
python3 -m venv "$work/venv"
export PATH="$work/venv/bin:$PATH" VIRTUAL_ENV="$work/venv" MPLBACKEND=Agg
cd "$work/ravine"
for block in "$@"; do
  awk -v wanted="$block" '/^```sh$/{n++; on=(n==wanted); next} /^```/{on=0} on' README.md > "$work/block.sh"
  [ -s "$work/block.sh" ] || { echo "README.md has no sh block number $block" >&2; exit 1; }
  bash -e "$work/block.sh"
done
if [ "${CHECK:-}" ]; then
  python -m ruff check . && python -m ruff format --check . && python -m mypy
fi
