#!/bin/sh
# What tests need beside Python: strace ends runs at chosen system calls, PostgreSQL keeps ledgers on a server that the
# tests start themselves. Without one of them its tests are skipped and say so.
wanted=""
command -v strace >/dev/null || wanted="$wanted strace"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="$wanted postgresql"
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # No cluster of the machine's own is wanted: nothing is created, and nothing runs after the installation.
    case "$wanted" in *postgresql*)
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            printf 'create_main_cluster = false\nstart_conf = manual\n' >/etc/postgresql-common/createcluster.conf
        ;;
    esac
    # shellcheck disable=SC2086
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $wanted >/dev/null && exit 0
fi
echo "not installed, so their tests are skipped:$wanted"
