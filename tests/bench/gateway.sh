#!/bin/bash
# That tools/bench/gateway measures each lane and says so, and leaves nothing behind; no times.
set -euo pipefail

HERE=$(dirname "$(readlink -f "$0")")
ROOT=$(dirname "$(dirname "$HERE")")
if ((EUID != 0)); then
  echo "skipped: must be root to make network namespaces"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

"$ROOT/tools/bench/gateway" --namespaces "2 40" --rounds 2 --seconds 0.5 --json "$work/run.json" "$1" |
  tee "$work/text" || fail "the benchmark fails"
seen=$(jq -c '[.rounds, [.rows[] | [.namespaces, .packets_per_second > 0, .cost_of_first > 0]]]' "$work/run.json")
expected='[2,[[0,true,true],[2,true,true],[40,true,true]]]'
[[ $seen == "$expected" ]] || fail "expected $expected, saw $seen: $(cat "$work/run.json")"
for lane in forward 2 40; do
  grep -Eq "^ +$lane +[0-9,]+ +[0-9.]+x +[0-9.]+x\$" "$work/text" || fail "no row for $lane"
done
! "$ROOT/tools/bench/gateway" --namespaces 1 "$1" 2>"$work/error" || fail "1 namespace is taken"
grep -q "2 to 50000 are allowed" "$work/error" || fail "nobody says what is allowed: $(cat "$work/error")"
echo "passed: gateway"
