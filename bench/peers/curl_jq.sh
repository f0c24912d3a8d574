#!/usr/bin/env bash
# Follows `next` from page to page with curl, and writes the records to stdout with jq: curl_jq.sh URL
set -euo pipefail

url=$1
origin=$(cut -d / -f 1-3 <<<"$url")
page=$(mktemp)
trap 'rm -f "$page"' EXIT
while [ -n "$url" ]; do
  curl -sSf "$url" >"$page"
  jq -c '.data[]' "$page"
  next=$(jq -r '.next // empty' "$page")
  url=${next:+$origin$next}
done
