#!/bin/bash
# That tools/bench/log measures both lanes, that each packet makes a record, and says so; no times.
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

"$ROOT/tools/bench/log" --rounds 2 --sessions 500 --rate 2000 "$1" | tee "$work/text" || fail "the benchmark fails"
for round in 1 2; do
  grep -Eq "^ +$round +[0-9]+ ns +[0-9]+ ns +[0-9.]+ +[0-9]+ +0\$" "$work/text" || fail "no row for round $round"
done
grep -Eq '\(median\)$' "$work/text" || fail "no median"
# One tells the beginning. A mapping has two, of which the last round's may not be written yet.
records=$(sed -n 's/^records: \([0-9]*\), lost: 0$/\1/p' "$work/text")
((records > 1000 && records <= 2001)) || fail "expected 1001 to 2001 records and none lost, saw $(tail -n 1 "$work/text")"
! "$ROOT/tools/bench/log" --rate 0 "$1" 2>"$work/error" || fail "a rate of 0 is taken"
grep -q "1 to 9999999 are allowed" "$work/error" || fail "nobody says what is allowed: $(cat "$work/error")"
echo "passed: log"
