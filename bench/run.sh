#!/usr/bin/env bash
# Builds unpage and the bench, installs what they are compared with, measures, and prints ratios as tables in Markdown.
#
#   bash bench/run.sh [check|micro|proxy|wires|early|memory|keys|keyed|crowd|small|observed|plans|snapshots|peers|formats|all] [--quick] [--gate] [--write]
#
# The numbers of every round also go into target/bench/PART.json. With --gate the status is 1 if a figure misses what it
# has to be by more than 15 %. With --quick nothing is measured well: it shows that everything runs.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} PYTHONDONTWRITEBYTECODE=1
installed=$CARGO_TARGET_DIR/bench
python=$installed/venv/bin/python

main() {
  local parts=() options=() part status=0 write=
  for argument in "$@"; do
    case $argument in
      --write) write=yes ;;
      --*) options+=("$argument") ;;
      all) parts+=(micro proxy wires early memory keys keyed crowd small observed plans snapshots peers formats) ;;
      *) parts+=("$argument") ;;
    esac
  done
  [ ${#parts[@]} -gt 0 ] || parts=(micro proxy wires early memory keys keyed crowd small observed plans snapshots peers formats)

  mkdir -p "$installed"
  build || exit
  machine
  options+=(--out "$installed" --unpage "$CARGO_TARGET_DIR/release/unpage")
  for part in "${parts[@]}"; do
    local rivals=()
    echo "## $part"
    case $part in
      proxy | snapshots) need_nginx && rivals=(--nginx "$(nginx_binary)") || exit ;;
      early) need curl || exit ;;
      peers) need curl jq && need_python && rivals=(--python "$python") || exit ;;
      formats)
        need curl gzip zstd && need_miller && need_python || exit
        formats "${options[@]}" | tee "$installed/$part.md"
        [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
        [ -z "$write" ] || write_tables "$part" || status=1
        continue
        ;;
    esac
    "$CARGO_TARGET_DIR/release/unpage-bench" "$part" "${rivals[@]}" "${options[@]}" | tee "$installed/$part.md"
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
    [ -z "$write" ] || write_tables "$part" || status=1
  done
  exit $status
}

build() {
  cargo build --locked --release --quiet && cargo build --locked --release --quiet --manifest-path bench/Cargo.toml
}

# What a reader has to know of the machine: ratios of two machines are not the same.
machine() {
  echo "$(nproc) processors, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(uname -sr)," \
    "$(rustc --version | cut -d ' ' -f 1-2), load $(cut -d ' ' -f 1 /proc/loadavg)"
}

# write_tables PART: puts the tables of this run between the marks of the part in bench/README.md; its prose stays.
write_tables() {
  local commit
  commit=$(git describe --always --dirty) &&
    python3 - "$1" "$commit, $(date -u +%F): $(machine)." "$(cat "$installed/$1.md")" <<'PYTHON'
import pathlib, sys
part, run, tables = sys.argv[1:]
file = pathlib.Path("bench/README.md")
start, end = f"<!-- {part} -->\n", f"<!-- /{part} -->\n"
before, rest = file.read_text().split(start)
after = rest.split(end)[1]
file.write_text(f"{before}{start}{run}\n\n{tables.strip()}\n{end}{after}")
PYTHON
}

# need COMMAND…: Debian has a package of the same name for each.
need() {
  local missing=()
  for command in "$@"; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
}

need_miller() {
  command -v mlr >/dev/null || install miller
}

# formats OPTION…: a script, since most of what it is compared with is Python.
formats() {
  "$python" bench/peers/formats.py "$CARGO_TARGET_DIR/release/unpage" "$@"
}

# nginx is only unpacked: installed, it would start a server of its own.
need_nginx() {
  [ -z "$(nginx_binary)" ] || return 0
  rm -rf "$installed/nginx" && mkdir -p "$installed/nginx" || return
  (
    cd "$installed/nginx" || exit
    apt-get -qq -o APT::Sandbox::User=root download nginx ||
      { as_root apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download nginx; }
  ) && dpkg-deb -x "$installed"/nginx/nginx_*.deb "$installed/nginx" && "$(nginx_binary)" -v
}

nginx_binary() {
  command -v nginx || find "$installed/nginx" -path '*/usr/sbin/nginx' 2>/dev/null
}

need_python() {
  local wanted
  wanted=$(cat bench/peers/requirements.txt bench/peers/constraints.txt | sha256sum)
  [ "$(cat "$installed/venv.stamp" 2>/dev/null)" != "$wanted" ] || return 0
  python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv || return
  rm -rf "$installed/venv"
  python3 -m venv "$installed/venv" &&
    "$python" -m pip install --quiet --disable-pip-version-check \
      --requirement bench/peers/requirements.txt --constraint bench/peers/constraints.txt &&
    echo "$wanted" >"$installed/venv.stamp"
}

install() { as_root apt-get -qq update && as_root apt-get -qq install -y --no-install-recommends "$@"; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

main "$@"
