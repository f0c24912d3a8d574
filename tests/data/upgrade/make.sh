#!/usr/bin/env bash
# Writes the fixture of tests/it/upgrade.rs again: what an old binary leaves behind when it is killed.
#
#   tests/data/upgrade/make.sh OLD_BINARY        (the committed files: the release build of commit dc8a922)
#
# snapshots/   the folder of `unpage serve` under unpage.toml
#   /cursor/orders   complete, asked for without credentials
#   /offset/orders   interrupted, asked for without credentials
#   /keyset/orders   interrupted, asked for with `Authorization: Bearer fixture`
#   /page/orders     interrupted, `auto`, asked for without credentials
# fetch/       orders.ndjson.part and its journal: `unpage fetch --output`, interrupted
set -euo pipefail
old=$(realpath "$1")
cd "$(dirname "$0")"
api=127.83.19.11:23119 proxy=127.83.19.11:23120
rm -rf snapshots fetch && mkdir -m 0700 snapshots fetch
"$old" demo --records 120 --latency 200ms --listen 127.83.19.11:0 --api-listen $api 2>/dev/null & demo=$!
trap 'kill -9 $demo $serve 2>/dev/null || true' EXIT
"$old" serve --config unpage.toml --listen $proxy 2>/dev/null & serve=$!
until curl -sf "http://$api/" >/dev/null && curl -s "http://$proxy/" >/dev/null; do sleep 0.1; done

ndjson=(-s -H 'Accept: application/x-ndjson')
curl "${ndjson[@]}" -o /dev/null "http://$proxy/cursor/orders?status=any"
curl "${ndjson[@]}" -o /dev/null "http://$proxy/offset/orders" &
curl "${ndjson[@]}" -o /dev/null "http://$proxy/page/orders?size=20" &
curl "${ndjson[@]}" -o /dev/null -H 'Authorization: Bearer fixture' "http://$proxy/keyset/orders" &
"$old" fetch "http://$api/link/orders" --records '$' --key id --page-size per_page=20 --pagination link_header --width 1 \
  -H 'Authorization: Bearer fixture' -o fetch/orders.ndjson 2>/dev/null & fetch=$!
pages() { grep -c '"page":' "$1" 2>/dev/null || true; }
interrupted() {
  for journal in $(grep -L '"complete":' snapshots/*.journal) fetch/*.journal; do [ "$(pages "$journal")" -ge 2 ] || return 1; done
}
until [ "$(ls snapshots/*.journal fetch/*.journal 2>/dev/null | wc -l)" = 5 ] && interrupted; do sleep 0.02; done
kill -9 $fetch $serve
wait 2>/dev/null || true & sleep 0.5
du -sh snapshots fetch
