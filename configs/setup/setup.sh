#!/usr/bin/env bash
# setup.sh [runs|tests]: installs what runs on the lab need (system packages, Python packages,
# Prebid.js, the rules for consent banners), and what tests need besides (Java, tools that check,
# a Selenium server, axe-core) unless told "runs".
# Each part is skipped when it is there already, so this can be run before every command.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON="${PYTHON:-python3}"
VENV=.venv
FOR="${1:-tests}"

fail() { printf 'setup: %s\n' "$*" >&2; exit 3; }

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null ||
  fail "$PYTHON is not Python 3.11, 3.12 or 3.13; name one with: make PYTHON=python3.11 …"

system_packages() {
  local wanted missing=() as_root=()
  mapfile -t wanted < <(grep -hvE '^(#|$)' "$@")
  local name
  for name in "${wanted[@]}"; do
    case "$name" in
      # These may well come from elsewhere than the distribution; the tool is what counts.
      npm | gcc) command -v "$name" >/dev/null && continue ;;
      default-jre-headless) command -v java >/dev/null && continue ;;
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
    fail "apt-get could not install ${missing[*]}: $(grep -m 1 '^E:' "$log"); all it said: $log"
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

packages=(configs/setup/packages.txt)
[ "$FOR" = tests ] && packages+=(configs/setup/packages-tests.txt)
system_packages "${packages[@]}"
python_packages
$VENV/bin/python -m echoaudit.lab.prebid
$VENV/bin/python -m echoaudit.instruments.browser.consent_rules
if [ "$FOR" = tests ]; then $VENV/bin/python tests/fetched.py; fi
