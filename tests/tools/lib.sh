# shellcheck shell=bash disable=SC2034
# What the tests in this folder share: programs, checks, and a folder of their own. To be sourced first, by a test that
# is started with the folder of the programs (build/ if there is none). None needs root or a daemon.
set -Eeuo pipefail

ROOT=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
PROGRAMS=$(readlink -f "${1:-$ROOT/build}")
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
trap 'echo "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
trap 'exit 143' TERM
trap 'exit 130' INT

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

passed() { printf 'ok: %s\n' "$*"; }

# run COMMAND…: sets STATUS; what it writes goes to $DIR/out and $DIR/err.
STATUS=0
run() {
  STATUS=0
  timeout 60 "$@" >"$DIR/out" 2>"$DIR/err" </dev/null || STATUS=$?
}
