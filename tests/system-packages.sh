#!/bin/sh
# What tests need beside Python: strace ends runs at chosen system calls, chromium looks at pages.
# Tests that miss one of them are skipped and say so.
missing=""
command -v strace >/dev/null || missing="$missing strace"
command -v chromium >/dev/null || missing="$missing chromium"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null && exit 0
fi
echo "not installed, so some tests are skipped:$missing"
