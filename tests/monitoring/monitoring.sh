#!/bin/bash
# The alert rules say what is wrong when it is, by promtool, and the dashboard is a dashboard.
set -euo pipefail

ROOT=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
MONITORING=$ROOT/packaging/monitoring
WORK_DIR=$(mktemp -d)
trap 'rm -rf "$WORK_DIR"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

promtool check rules --lint-fatal "$MONITORING/swnat-alerts.yml" || fail "the alert rules are wrong"
cp "$MONITORING/swnat-alerts.yml" "$ROOT/tests/monitoring/alerts_test.yml" "$WORK_DIR"
promtool test rules "$WORK_DIR/alerts_test.yml" || fail "an alert does not fire, or when it should not"

alerts=$(sed -n 's/^ *- alert: //p' "$MONITORING/swnat-alerts.yml")
for alert in $alerts; do
  grep -q "alertname: $alert\$" "$ROOT/tests/monitoring/alerts_test.yml" || fail "$alert is not tested"
done

panels=$(jq '.panels | length' "$MONITORING/swnat-dashboard.json") || fail "the dashboard is no JSON"
ids=$(jq '[.panels[].id] | unique | length' "$MONITORING/swnat-dashboard.json")
[[ $panels == "$ids" ]] || fail "panels of the dashboard have one id"
# Each question is one that Prometheus understands: as a rule it is checked like those above.
jq -r '.panels[].targets[].expr | gsub("\\$instance"; ".*") | "      - {record: \"a:b\", expr: \(tojson)}"' \
  "$MONITORING/swnat-dashboard.json" | awk '{ sub(/"a:b"/, "\"panel:" NR "\""); print }' >"$WORK_DIR/questions"
{
  printf 'groups:\n  - name: dashboard\n    rules:\n'
  cat "$WORK_DIR/questions"
} >"$WORK_DIR/dashboard.yml"
promtool check rules "$WORK_DIR/dashboard.yml" || fail "a question of the dashboard is wrong"
echo "passed: $(wc -w <<<"$alerts") alerts, $panels panels"
