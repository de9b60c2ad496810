# shellcheck shell=bash disable=SC2034,SC2154
# NAT behaviour discovery by programs of others: coturn's server on the remote, and what its turnutils_natdiscovery
# (RFC 5780) and the stun client (RFC 3489, IPv4 only) say. To be sourced after lib.sh, with the daemon running.

# The remote's second address, by family: the server answers from another address when it is asked to.
SECOND_OF=([4]=203.0.113.101 [6]=2001:db8:1::101)
PREFIX_OF=([4]=24 [6]=64)

# serve_stun FAMILY: on ports 3478 and 3479 of both addresses.
serve_stun() {
  local name=turnserver-$1
  lab_address remote eth0 "${SECOND_OF[$1]}/${PREFIX_OF[$1]}"
  lab_serve "$name" udp 3478 turnserver -n --stun-only --no-tls --no-dtls --no-cli \
    --listening-ip "${LAB_REMOTE_OF[$1]}" --listening-ip "${SECOND_OF[$1]}" \
    --log-file stdout --pidfile "$LAB_DIR/$name.pid" --userdb "$LAB_DIR/$name.db"
  wait_until 10 lab_listens remote udp 3479
}

# configure FILTERING HAIRPIN: by a reload.
configure() {
  LAB_SETTINGS[nat.filtering]="\"$1\""
  LAB_SETTINGS[nat.hairpin]=$2
  lab_write_config
  control reload >"$LAB_DIR/reload.out" || fail "the configuration cannot be changed: $(cat "$LAB_DIR/daemon.log")"
}

# How the programs call what the configuration file names.
declare -A RFC5780_NAME=(
  [endpoint-independent]="Endpoint Independent"
  [address-dependent]="Address Dependent"
  [address-and-port-dependent]="Address and Port Dependent"
)
declare -A RFC3489_NAME=(
  [endpoint-independent]="Independent Filter"
  [address-dependent]="Address Dependent Filter"
  [address-and-port-dependent]="Port Dependent Filter"
)

# Each run has a source port of its own, the same in both tenants, so that it meets no older mapping.
discovery_port=5000
discover() { tenant turnutils_natdiscovery "-$1" -L "${LAB_TENANT_OF[$2]}" -l "$discovery_port" "${LAB_REMOTE_OF[$2]}"; }

# expect_discovery FAMILY OPTION WHAT EXTENDED-REGULAR-EXPRESSION: what both tenants, running it at the same time,
# are told.
expect_discovery() {
  local tenant
  discovery_port=$((discovery_port + 10))
  both "discovery-$2" discover "$2" "$1"
  for tenant in blue green; do
    expect_match "IPv$1: $3, says turnutils_natdiscovery to $tenant" "$4" "$(cat "$LAB_DIR/discovery-$2-$tenant.log")"
  done
}

# Its exit status is its finding.
stun_client() { tenant stun "$LAB_REMOTE" -p "$discovery_port" || true; }
stun_says() {
  discovery_port=$((discovery_port + 10))
  both stun stun_client
  [[ $(sed -n /^Primary/p "$LAB_DIR/stun-blue.log") =~ ^Primary:\ $1 ]] &&
    [[ $(sed -n /^Primary/p "$LAB_DIR/stun-green.log") =~ ^Primary:\ $1 ]]
}

# expect_stun WHAT EXTENDED-REGULAR-EXPRESSION: the same for the stun client. It waits for answers for one second only,
# so on a busy machine it may need another try.
expect_stun() {
  wait_until 20 stun_says "$2" || fail "IPv4: $1: expected '$2', stun says: $(cat "$LAB_DIR"/stun-*.log)"
  passed "IPv4: $1, says stun to both"
}
