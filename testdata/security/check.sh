#!/usr/bin/env bash
# What esxiplan is made of: the licenses of its modules, that the same sources give the
# same binary, known vulnerabilities, and mistakes that gosec knows. The last two need the
# network; where it is missing, that is said, and nothing is claimed.
# GOSEC=no leaves out gosec, whose own build takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
go=${GO:-go}
gosec=github.com/securego/gosec/v2/cmd/gosec@v2.30.0

echo "-- licenses"
"$go" run ./testdata/licenses

echo "-- the same sources give the same binary"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sum() { # builds the sources in a folder with a cache of its own
  (cd "$1" && CGO_ENABLED=0 GOCACHE="$2" "$go" build -trimpath -buildvcs=false -o "$work/esxiplan" ./cmd/esxiplan)
  sha256sum < "$work/esxiplan"
}
mkdir "$work/elsewhere"
cp -r cmd engine steps plans schema go.mod go.sum "$work/elsewhere"
here=$(sum . "$("$go" env GOCACHE)")
there=$(sum "$work/elsewhere" "$work/cache")
if [ "$here" != "$there" ]; then
  echo "two builds differ: $here here, $there in another folder with an empty cache" >&2
  exit 1
fi
echo "sha256 ${here%% *}"

echo "-- known vulnerabilities"
if ! report=$("$go" tool govulncheck ./cmd/esxiplan 2>&1); then
  case $report in
  *"fetching vulnerabilities"*) echo "NOT LOOKED FOR: the database vuln.go.dev cannot be reached from here" ;;
  *) echo "$report" >&2; exit 1 ;;
  esac
else
  echo "$report" | tail -3
fi

echo "-- gosec"
if [ "${GOSEC:-}" = no ]; then
  echo "left out (GOSEC=no)"
elif ! GOBIN="$work" "$go" install "$gosec" 2>"$work/why"; then
  echo "NOT RUN: $gosec cannot be had from here: $(tail -1 "$work/why")"
else
  # Left out: G101 (takes names of variables for passwords), G104 (unused errors, which
  # staticcheck judges better), G115 (conversions of numbers), G304 and G703 (a path that
  # somebody gives, which is what a command line is), and the simulators.
  "$work/gosec" -quiet -exclude=G101,G104,G115,G304,G703 -exclude-dir=engine/twin -exclude-dir=engine/bmc/bmcsim \
    ./cmd/... ./engine/... ./schema/... ./steps/...
  echo "nothing found"
fi
