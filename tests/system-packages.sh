#!/bin/sh
# What tests need beside Python: strace ends runs at chosen system calls. Without it those tests are skipped and say so.
command -v strace >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace >/dev/null && exit 0
fi
echo "strace is not installed, so the crash tests are skipped"
