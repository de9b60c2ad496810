#!/bin/bash
# The metrics as Prometheus has them: by promtool, from a real Prometheus that scrapes the daemon by HTTP, and as a file.
# What dashboard and alerts name is there, and an alert fires when its fault is made.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

MONITORING=$ROOT/packaging/monitoring
TEXTFILE=$LAB_DIR/run/swnat.prom
PORT=9469

page() { lab_exec gw curl --silent --show-error --max-time 20 "$@"; }
scrape() { page "http://127.0.0.1:$PORT/metrics"; }
code_of() { page --output /dev/null --write-out '%{http_code}' "$@"; }

start_lab
LAB_SETTINGS[control.repair]=false
LAB_SETTINGS[metrics.listen]="\"127.0.0.1:$PORT\""
LAB_SETTINGS[metrics.textfile]="\"$TEXTFILE\""
start_swnat
lab_exec blue ping -q -c 3 -i 0.1 -W 1 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "blue does not reach the remote"

# By HTTP, over the control socket, and as a file: the same.
names() { sed -nE 's/^# TYPE ([a-z_]+) .*/\1/p' | sort; }
scrape >"$LAB_DIR/by-http"
control metrics >"$LAB_DIR/by-socket"
wait_until 10 test -e "$TEXTFILE" || fail "the file does not appear"
cp "$TEXTFILE" "$LAB_DIR/by-file"
for way in http socket file; do
  lab_exec gw promtool check metrics <"$LAB_DIR/by-$way" >"$LAB_DIR/promtool.out" 2>&1 ||
    fail "promtool about metrics by $way: $(cat "$LAB_DIR/promtool.out")"
  expect "promtool about metrics by $way" "" "$(cat "$LAB_DIR/promtool.out")"
  names <"$LAB_DIR/by-$way" >"$LAB_DIR/names-$way"
done
expect_same_file "names by HTTP and over the socket" "$LAB_DIR/names-http" "$LAB_DIR/names-socket"
expect_same_file "names by HTTP and in the file" "$LAB_DIR/names-http" "$LAB_DIR/names-file"
expect "the file's mode" 644 "$(stat -c %a "$TEXTFILE")"
expect "blue's packets by HTTP" 3 "$(sed -n \
  's/^swnat_namespace_packets_total{namespace="blue",direction="outbound"} //p' "$LAB_DIR/by-http")"

# What dashboard and alerts name.
jq -r '.panels[].targets[].expr, .templating.list[].query.query?' "$MONITORING/swnat-dashboard.json" |
  cat - <(sed -n 's/^ *expr: //p' "$MONITORING/swnat-alerts.yml") | grep -oE 'swnat_[a-z_]+' | sort -u >"$LAB_DIR/named"
expect_at_least "metrics that dashboard and alerts name" 15 "$(wc -l <"$LAB_DIR/named")"
expect "of them, what the daemon has not got" "" "$(comm -23 "$LAB_DIR/named" "$LAB_DIR/names-http")"

# Nothing else by HTTP.
expect "another path" 404 "$(code_of "http://127.0.0.1:$PORT/")"
expect "another method" 405 "$(code_of --data x "http://127.0.0.1:$PORT/metrics")"

# A port in use ends a start with a line, and nothing else.
second=$LAB_DIR/second.toml
sed "s|control.sock|second.sock|; s|^\[queue\]|[queue]\nfirst = 10|; s|swnat.prom|second.prom|" "$LAB_DIR/swnat.toml" >"$second"
status=0
lab_exec gw "$PROGRAMS/swnat-nfq" run --config "$second" >"$LAB_DIR/out" 2>&1 || status=$?
expect "a start with a port in use: status" 1 "$status"
expect "a start with a port in use: the last line" \
  "swnat-nfq: metrics.listen 127.0.0.1:$PORT: Address already in use" "$(tail -n 1 "$LAB_DIR/out")"

# A reload moves the file, and refuses another port.
LAB_SETTINGS[metrics.textfile]="\"$LAB_DIR/run/moved.prom\""
lab_write_config
control reload
wait_until 10 test -e "$LAB_DIR/run/moved.prom" || fail "the moved file does not appear"
[[ ! -e $TEXTFILE ]] || fail "the old file is still there"
passed "a reload moves the file"
LAB_SETTINGS[metrics.listen]="\"127.0.0.1:1$PORT\""
lab_write_config
status=0
control reload 2>"$LAB_DIR/err" || status=$?
expect "a reload with another port: status" 1 "$status"
expect_match "a reload with another port: what is said" "metrics.listen cannot change" "$(cat "$LAB_DIR/err")"
LAB_SETTINGS[metrics.listen]="\"127.0.0.1:$PORT\""
lab_write_config
control reload

# Connections that say nothing, from one address and from many, end nothing: scrapes go on, if some wait for a while.
for ((i = 0; i < 20; ++i)); do
  lab_spawn gw "silent-$i" ncat --source "127.0.1.$((i / 4))" 127.0.0.1 "$PORT"
done
scrapes() { scrape >"$LAB_DIR/out" 2>&1; }
wait_until 60 scrapes || fail "silent connections keep scrapes out"
passed "a scrape beside silent connections"
for ((i = 0; i < 20; ++i)); do kill "${LAB_PID[silent-$i]}" 2>/dev/null || true; done

# Prometheus itself. The alerts are quick here.
sed -E 's/for: .*/for: 1s/' "$MONITORING/swnat-alerts.yml" >"$LAB_DIR/alerts.yml"
cat >"$LAB_DIR/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$LAB_DIR/alerts.yml]
scrape_configs:
  - job_name: swnat
    static_configs: [{targets: ["127.0.0.1:$PORT"]}]
YAML
lab_spawn gw prometheus prometheus --config.file="$LAB_DIR/prometheus.yml" --storage.tsdb.path="$LAB_DIR/prometheus" \
  --web.listen-address=127.0.0.1:9090
query() { page --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | jq -r '.data.result[].value[1]'; }
is_scraped() { [[ $(query 'up{job="swnat"}' 2>/dev/null) == 1 ]]; }
wait_until 60 is_scraped || fail "Prometheus does not scrape the daemon: $(tail -n 5 "$LAB_DIR/prometheus.log")"
packets_are_known() {
  [[ $(query 'swnat_namespace_packets_total{namespace="blue",direction="outbound"}') == 3 ]]
}
wait_until 30 packets_are_known || fail "Prometheus does not know blue's packets"
passed "Prometheus scrapes the daemon"

alert() { page http://127.0.0.1:9090/api/v1/alerts | jq -r --arg name "$1" '.data.alerts[] | select(.labels.alertname == $name) | .state'; }
fires() { [[ $(alert "$1") == firing ]]; }
is_quiet() { [[ -z $(alert "$1") ]]; }
expect "alerts while all is well" "" "$(page http://127.0.0.1:9090/api/v1/alerts | jq -r '.data.alerts[].labels.alertname')"
swnat down
wait_until 60 fires SwnatRulesDiffer || fail "no alert says that the rules are missing"
passed "an alert says that the rules are missing"
apply_rules
wait_until 60 is_quiet SwnatRulesDiffer || fail "the alert does not end"
passed "it ends when they are there again"

# The daemon's end takes the file with it, and Prometheus sees it.
end_daemon TERM
[[ ! -e $LAB_DIR/run/moved.prom ]] || fail "the file is still there without the daemon"
is_down() { [[ $(query 'up{job="swnat"}') == 0 ]]; }
wait_until 30 is_down || fail "Prometheus does not see that the daemon is gone"
passed "the file is gone with the daemon, and Prometheus sees that it is gone"
