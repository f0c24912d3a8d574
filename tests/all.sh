#!/usr/bin/env bash
# Installs what the tests need on a Debian-like machine that has Rust and Python 3, then runs all of them.
#
#   bash tests/all.sh
#
# The servers and clients that others wrote go into target/real, nothing else is installed but missing Debian packages.
# The last line is `N passed, M failed`; the status is 0 only if every step and every test passed and none was skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

installed=$PWD/target/real
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
# What incremental compilation keeps is half of the disk that a run takes, and of no use to the next clean checkout.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} PYTHONDONTWRITEBYTECODE=1
rust_log=$installed/rust-tests.log
python_report=$installed/python-tests.xml
# Names of the steps that failed, one on a line: steps that run beside others have no variables in common.
failed_steps=$installed/failed-steps
# Process group of the function that runs beside another one.
other=

main() {
  mkdir -p "$installed"
  rm -f "$rust_log" "$python_report"
  : >"$failed_steps"
  trap interrupted INT TERM

  step "Debian packages" debian_packages || finish
  side_by_side installation lints || finish
  side_by_side debug_builds release_builds
  [ -x "$CARGO_TARGET_DIR/release/unpage" ] || finish
  step "bench memory" bench_memory
  step "pytest tests/real" python_tests
  finish
}

installation() {
  step "Python packages" python_packages && step "npm packages" npm_packages && step "middle boxes" middle_boxes &&
    step "a Debian to install into" debian
}

lints() {
  step "cargo fmt" cargo fmt --check
  step "licences, bans and sources" python3 tests/dependencies.py
  step "cargo clippy" cargo clippy --locked --all-targets -- -D warnings
  step "cargo clippy of the export of spans" cargo clippy --locked --lib --bins --features otlp -- -D warnings
  step "cargo clippy of the library alone" cargo clippy --locked --package unpage --no-default-features --lib -- -D warnings
  true
}

debug_builds() {
  step "cargo test" rust_tests
  # Behind the tests, which run the binary that they replace.
  step "a static binary" static_binary
  step "the export of spans" otlp
  step "cargo package" packed_crate
  step "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
  step "bench check" bench_check
  step "fuzz" fuzz
}

# The link of a release build occupies one processor, and the run of the tests seldom two: what has a build folder of its own goes beside
# them. Both functions take about as long.
release_builds() {
  rm -f "$CARGO_TARGET_DIR/release/unpage"
  step "cargo build --release" cargo build --locked --release
  step "cost" cargo bench --locked --package unpage-upstream --bench cost
  step "the splitter with NEON" neon
}

# side_by_side ONE OTHER: runs two functions at once; fails if either does. The other's output comes behind the one's.
# The other has a process group of its own, which Ctrl-C does not reach: `interrupted` ends it, and nothing of the caller's.
side_by_side() {
  local status=0 output=$installed/$2.log
  echo "==> $2, beside what follows"
  set -m
  "$2" >"$output" 2>&1 &
  other=$!
  set +m
  "$1" || status=$?
  wait "$other" || status=$?
  other=
  echo "==> $2"
  cat "$output"
  return $status
}

interrupted() {
  trap - INT TERM
  [ -z "$other" ] || kill -- "-$other"
  exit 130
}

# step NAME COMMAND…: runs one step, says how long it took, and remembers it if it failed.
step() {
  local name=$1 start=$SECONDS status=0
  shift
  echo "==> $name"
  "$@" || status=$?
  if [ $status -eq 0 ]; then
    echo "    $name: ok, $((SECONDS - start)) s"
  else
    echo "    $name: FAILED with status $status, $((SECONDS - start)) s"
    echo "$name" >>"$failed_steps"
  fi
  return $status
}

debian_packages() {
  local missing=()
  need() { command -v "$1" >/dev/null || missing+=("${@:2}"); }
  need curl curl ca-certificates
  need wget wget
  need aria2c aria2
  need jq jq
  need mlr miller
  need Rscript r-base-core r-cran-jsonlite
  need cc build-essential
  need node nodejs
  need chromium chromium
  need npm npm
  need go golang-go
  need javac default-jdk-headless
  need openssl openssl
  need slowhttptest slowhttptest
  need h2load nghttp2-client
  need strace strace
  need systemd-analyze systemd
  need dh debhelper
  need dpkg-buildpackage dpkg-dev
  need lintian lintian
  need mmdebstrap mmdebstrap
  need buildah buildah
  need valgrind valgrind
  need python3 python3 python3-venv
  need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  need qemu-aarch64 qemu-user
  ! command -v python3 >/dev/null || python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  if [ ${#missing[@]} -gt 0 ]; then
    echo "    missing: ${missing[*]}"
    as_root apt-get -qq update && as_root apt-get -qq install -y --no-install-recommends "${missing[@]}" || return
  fi
  command -v cargo >/dev/null || {
    echo "    Rust is missing: install it with rustup" >&2
    return 1
  }
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

python_packages() {
  fresh python tests/real/requirements.txt tests/real/constraints.txt && return
  rm -rf "$installed/venv"
  python3 -m venv "$installed/venv" &&
    "$installed/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement tests/real/requirements.txt --constraint tests/real/constraints.txt &&
    stamp python tests/real/requirements.txt tests/real/constraints.txt
}

npm_packages() {
  fresh npm tests/real/package.json tests/real/package-lock.json && return
  rm -rf "$installed/npm"
  mkdir -p "$installed/npm" &&
    cp tests/real/package.json tests/real/package-lock.json "$installed/npm" &&
    npm --prefix "$installed/npm" ci --no-audit --no-fund --loglevel=error &&
    stamp npm tests/real/package.json tests/real/package-lock.json
}

# Only unpacked: installed, each would start a server of its own. What they depend on is installed.
middle_boxes() {
  local package
  for package in nginx haproxy varnish squid caddy prometheus; do
    middle_box $package || return
  done
}

middle_box() {
  local package=$1 place=$installed/$1
  ! type -P "${package/#varnish/varnishd}" >/dev/null && [ ! -e "$place/unpacked" ] || return 0
  rm -rf "$place" && mkdir -p "$place" || return
  (
    cd "$place" || exit
    download "$package" || { as_root apt-get -qq update && download "$package"; }
  ) && depended_on "$place"/*.deb &&
    dpkg-deb -x "$place"/*.deb "$place" && rm "$place"/*.deb && touch "$place/unpacked"
}

# nginx needs no more than is there, and what it names would be started in its stead.
depended_on() {
  local depends
  depends=$(dpkg-deb -f "$1" Depends | tr , '\n' | grep -v nginx-common | paste -sd,) &&
    as_root apt-get -qq satisfy -y --no-install-recommends "$depends" >/dev/null
}

# A Debian of essential packages and systemd, from the archives of this machine, in which the package is tried.
debian() {
  local sources
  for sources in /etc/apt/sources.list.d/{debian,ubuntu}.sources /etc/apt/sources.list; do
    [ ! -s "$sources" ] || break
  done
  fresh debian-with-systemd "$sources" && return
  rm -f "$installed/debian.tar"
  as_root mmdebstrap --quiet --variant=apt --include=ca-certificates,systemd --dpkgopt='path-exclude=/usr/share/doc/*' \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$installed/debian.tar" "$sources" && stamp debian-with-systemd "$sources"
}

download() { apt-get -qq -o APT::Sandbox::User=root download "$1"; }

# fresh NAME FILE…: succeeds if NAME was installed here from these very files, by this very interpreter.
fresh() { [ "$(cat "$installed/$1.stamp" 2>/dev/null)" = "$(fingerprint "$@")" ]; }
stamp() { fingerprint "$@" >"$installed/$1.stamp"; }
fingerprint() {
  echo "$installed"
  if [ "$1" = python ]; then python3 --version; else node --version; fi
  cat "${@:2}" | sha256sum
}

# Those that are ignored elsewhere need what was installed here.
rust_tests() {
  timeout 2400 cargo test --locked --no-fail-fast -- --include-ignored 2>&1 | tee "$rust_log"
}

# The binary of the container image, whose tests need no optimised one: another release build would take five minutes.
static_binary() {
  cargo rustc --locked --quiet --bin unpage -- -C target-feature=+crt-static -C strip=symbols &&
    install -D "$CARGO_TARGET_DIR/debug/unpage" "$CARGO_TARGET_DIR/static/unpage"
}

# What is shipped has no `otlp`, so the other tests run without it: with it run those of the export, which also build its binary.
otlp() {
  timeout 1200 cargo test --locked --quiet --features otlp --lib --test it -- trace_export planted_secrets &&
    install -D "$CARGO_TARGET_DIR/debug/unpage" "$CARGO_TARGET_DIR/otlp/unpage"
}

# The masks of AArch64, which no other test runs: the splitter's unit tests alone, under an emulator.
neon() {
  local target=aarch64-unknown-linux-gnu
  rustup target list --installed | grep -qx $target || rustup target add $target || return
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
    timeout 1200 cargo test --locked --quiet --manifest-path tests/neon/Cargo.toml --target $target \
    --target-dir "$CARGO_TARGET_DIR/neon" --lib -- pagination::splitter this_machine
}

# What would be published, which has to build from its own files.
packed_crate() {
  local place status=0
  place=$(mktemp -d)
  cargo package --locked --quiet --allow-dirty --no-verify --package unpage &&
    tar -xf "$CARGO_TARGET_DIR"/package/unpage-*.crate -C "$place" &&
    cargo check --locked --quiet --manifest-path "$place"/unpage-*/Cargo.toml --lib --bins --examples &&
    cargo publish --dry-run --locked --quiet --allow-dirty --no-verify --package unpage || status=1
  rm -rf "$place"
  return $status
}

# Targets that read an upstream's bytes are fuzzed for a minute each, the others for some seconds; earlier corpora are extended.
fuzz() {
  cargo fmt --check --manifest-path fuzz/Cargo.toml && fuzz_build || return
  fuzz_all 60 splitter coding && fuzz_all 5 path link && fuzz_all 5 config ending encodings && fuzz_all 5 plan journal keys && fuzz_all 5 head
}

# The flags are those of cargo-fuzz without a sanitizer; the target is named so that they aren't for what runs while building.
fuzz_build() {
  local sancov="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
  sancov+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
  fuzz_host=$(rustc -vV | sed -n 's/^host: //p')
  RUSTFLAGS="$sancov --cfg fuzzing -Ccodegen-units=1" timeout 2400 \
    cargo build --locked --quiet --manifest-path fuzz/Cargo.toml --target "$fuzz_host" --target-dir "$CARGO_TARGET_DIR/fuzz"
}

# fuzz_all SECONDS TARGET…: all of them at once; fails if one of them does.
fuzz_all() {
  local seconds=$1 target pid status=0 running=()
  for target in "${@:2}"; do
    fuzz_one "$seconds" "$target" &
    running+=($!)
  done
  for pid in "${running[@]}"; do
    wait "$pid" || status=1
  done
  return $status
}

fuzz_one() {
  local seconds=$1 target=$2 place=$CARGO_TARGET_DIR/fuzz seeds=()
  local corpus=$place/corpus/$target log=$place/$target.log
  mkdir -p "$corpus"
  [ ! -d "fuzz/seeds/$target" ] || seeds=("fuzz/seeds/$target")
  if RUST_BACKTRACE=0 timeout $((seconds + 60)) "$place/$fuzz_host/debug/$target" -max_total_time="$seconds" -timeout=10 \
    -artifact_prefix="$place/$target-" "$corpus" "${seeds[@]}" >"$log" 2>&1; then
    echo "    $target: $(tail -n 1 "$log")"
  else
    tail -n 40 "$log"
    echo "    $target: FAILED; its input is beside $log"
    return 1
  fi
}

# The bench has dependencies of its own, so that `cargo test` leaves it alone.
bench_check() {
  cargo fmt --check --manifest-path bench/Cargo.toml &&
    cargo clippy --locked --manifest-path bench/Cargo.toml --all-targets -- -D warnings &&
    cargo test --locked --manifest-path bench/Cargo.toml --quiet --lib &&
    cargo run --locked --manifest-path bench/Cargo.toml --quiet -- check
}

# The four rows of peak memory, on streams of a fifth of the length. The bench itself may be slow: what is measured is the release build.
bench_memory() {
  cargo run --locked --manifest-path bench/Cargo.toml --quiet -- memory --quick --gate \
    --unpage "$CARGO_TARGET_DIR/release/unpage" --out "$CARGO_TARGET_DIR/bench"
}

# Two processes, a file in one of them: most tests wait for servers.
python_tests() {
  UNPAGE=$CARGO_TARGET_DIR/release/unpage "$installed/venv/bin/python" -m pytest tests/real --numprocesses 2 --dist loadfile --junit-xml "$python_report"
}

# Adds up the tests, prints the sums and ends. A step that failed without a failed test counts as one failure.
finish() {
  local rust python passed failed skipped name
  # The figures are: passed, failed, skipped.
  read -ra rust < <(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored.*/\1 \2 \3/p' "$rust_log" 2>/dev/null |
    awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
  read -ra python < <(python3 - "$python_report" 2>/dev/null <<'PYTHON' || echo 0 0 0
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot().find("testsuite").attrib
tests, failures, errors, skipped = (int(suite[name]) for name in ("tests", "failures", "errors", "skipped"))
print(max(0, tests - failures - errors - skipped), failures + errors, skipped)
PYTHON
  )
  passed=$((rust[0] + python[0]))
  failed=$((rust[1] + python[1]))
  skipped=$((rust[2] + python[2]))

  while read -r name; do
    echo "failed: $name"
    case $name in
      "cargo test") [ "${rust[1]}" -gt 0 ] || failed=$((failed + 1)) ;;
      "pytest tests/real") [ "${python[1]}" -gt 0 ] || failed=$((failed + 1)) ;;
      *) failed=$((failed + 1)) ;;
    esac
  done <"$failed_steps"
  if [ $skipped -gt 0 ]; then
    echo "failed: $skipped tests were skipped, and none may be"
    failed=$((failed + skipped))
  fi
  if [ $failed -eq 0 ] && { [ "${rust[0]}" -eq 0 ] || [ "${python[0]}" -eq 0 ]; }; then
    echo "failed: no test ran"
    failed=1
  fi
  echo "total time: $SECONDS s"
  echo "Rust tests passed ${rust[0]}"
  echo "Python tests passed ${python[0]}"
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ]
  exit
}

main "$@"
