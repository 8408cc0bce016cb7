#!/usr/bin/env bash
# A Chromium for the browser tests: the one that is there, else Debian's, where we may install packages.
# Without either the tests that need it are skipped, and say so.
set -euo pipefail
for name in "${APPORTION_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
  if [ -n "$name" ] && command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Chromium for the browser tests (once)" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
    || echo "Chromium could not be installed: the browser tests will be skipped" >&2
else
  echo "there is no Chromium: the browser tests will be skipped (Debian: apt install chromium; or set APPORTION_CHROMIUM)" >&2
fi
