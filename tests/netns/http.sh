#!/bin/bash
# Web pages for both tenants at once: each gets its own, and the server sees only the external address.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
start_swnat
lab_serve_http

fetch_pages() {
  tenant curl --silent --show-error --fail --max-time 30 --no-keepalive \
    -H 'Connection: close' "http://$LAB_REMOTE/$TENANT/[1-200]"
}
both pages fetch_pages
for tenant in blue green; do
  seen=$(grep -c "^page /$tenant/[0-9]*, asked for by $LAB_EXTERNAL:" "$LAB_DIR/pages-$tenant.log")
  expect "pages with the right content, $tenant" 200 "$seen"
  expect "all lines that $tenant got" 200 "$(wc -l <"$LAB_DIR/pages-$tenant.log")"
done
expect "requests in the server's log" 400 "$(wc -l <"$LAB_DIR/http-access.log")"
expect "client addresses in the server's log" "$LAB_EXTERNAL" \
  "$(cut -d: -f1 "$LAB_DIR/http-access.log" | sort -u)"
ports_outside=$(sed -E 's/^[^:]*:([0-9]+) .*/\1/' "$LAB_DIR/http-access.log" | awk '$1 < 32768' | wc -l)
expect "client ports outside the configured range" 0 "$ports_outside"

# The very same internal endpoint and remote endpoint in both tenants, at the same time.
fetch_slowly() {
  tenant curl --silent --show-error --fail --max-time 30 --local-port 40000 \
    --output "$LAB_DIR/slow-$TENANT" "http://$LAB_REMOTE/slow/$TENANT"
}
both slow fetch_slowly
sessions '.internal == "10.0.0.2:40000"' >"$LAB_DIR/same"
expect "tenants with a session from 10.0.0.2:40000" "blue green" \
  "$(jq -r .namespace "$LAB_DIR/same" | sort | xargs)"
expect "different external endpoints of them" 2 "$(jq -r .external "$LAB_DIR/same" | sort -u | wc -l)"
for tenant in blue green; do
  expect "bytes of $tenant's slow page" 65536 "$(stat -c %s "$LAB_DIR/slow-$tenant")"
done
