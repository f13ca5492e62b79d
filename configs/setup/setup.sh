#!/usr/bin/env bash
# Installs what the lab and the tests need: system packages, Python packages, Prebid.js,
# the rules for consent banners, axe-core.
# Each part is skipped when it is there already, so this can be run before every command.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON="${PYTHON:-python3}"
VENV=.venv

fail() { printf 'setup: %s\n' "$*" >&2; exit 3; }

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null ||
  fail "$PYTHON is not Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.11 …"

system_packages() {
  local wanted missing=() as_root=()
  mapfile -t wanted < <(grep -vE '^(#|$)' configs/setup/packages.txt)
  local name
  for name in "${wanted[@]}"; do
    case "$name" in
      # These may well come from elsewhere than the distribution; the tool is what counts.
      npm | gcc) command -v "$name" >/dev/null && continue ;;
      python3-dev | python3-venv)
        [ "$(command -v "$PYTHON")" = /usr/bin/python3 ] || continue ;;
    esac
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || fail "please install: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
      fail "these packages are missing; as root run: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  echo "setup: installing ${#missing[@]} system packages" >&2
  local log; log=$(mktemp)
  { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
    { tail -n 15 "$log" >&2; fail "apt-get could not install: ${missing[*]}"; }
  rm -f "$log"
}

python_packages() {
  local stamp=$VENV/.installed want
  want=$(cat pyproject.toml configs/setup/constraints.txt src/echoaudit/outcomes/traffic/_quick.c |
    sha256sum; "$PYTHON" -V)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
  echo "setup: installing Python packages" >&2
  [ -x $VENV/bin/python ] && [ "$($VENV/bin/python -V)" = "$("$PYTHON" -V)" ] ||
    "$PYTHON" -m venv --clear $VENV
  $VENV/bin/pip install -q --disable-pip-version-check -c configs/setup/constraints.txt uv
  $VENV/bin/uv pip install -q --python $VENV/bin/python -c configs/setup/constraints.txt \
    --group dev -e '.[lab]'
  printf '%s' "$want" >"$stamp"
}

# The checker that tests put into the report's page: fetched from npm, held against its hash.
accessibility_checker() {
  local version=4.14.1 file=.cache/axe/axe.min.js folder
  local sha=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
  holds() { [ -f "$1" ] && printf '%s  %s\n' "$sha" "$1" | sha256sum --check --status; }
  holds "$file" && return
  folder=$(mktemp -d)
  npm pack --silent --pack-destination "$folder" "axe-core@$version" >/dev/null &&
    tar -xzf "$folder/axe-core-$version.tgz" -C "$folder" package/axe.min.js ||
    fail "npm could not fetch axe-core $version; check npm and the network"
  holds "$folder/package/axe.min.js" || fail "npm gave another axe-core $version than the pinned one"
  mkdir -p "${file%/*}"
  mv "$folder/package/axe.min.js" "$file"
  rm -r "$folder"
}

system_packages
python_packages
accessibility_checker
$VENV/bin/python -m echoaudit.lab.prebid
$VENV/bin/python -m echoaudit.instruments.browser.consent_rules
