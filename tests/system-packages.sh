#!/bin/sh
# What tests need beside Python: strace ends runs at chosen system calls, PostgreSQL keeps ledgers on a server that the
# tests start themselves, Chromium opens the portal's pages, R reads and writes the portal, libfaketime lets years pass.
# Without one of them its tests are skipped and say so; so are those of soda-js without node and npm, which are not installed from here.
wanted=""
command -v strace >/dev/null || wanted="$wanted strace"
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="$wanted postgresql"
command -v chromium >/dev/null || wanted="$wanted chromium"
command -v chromedriver >/dev/null || wanted="$wanted chromium-driver"
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || wanted="$wanted libfaketime"
Rscript -e 'quit(status = !all(sapply(c("httr", "jsonlite"), requireNamespace, quietly = TRUE)))' >/dev/null 2>&1 ||
    wanted="$wanted r-base-core r-cran-httr r-cran-jsonlite"
[ -z "$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # No cluster of the machine's own is wanted: nothing is created, and nothing runs after the installation.
    case "$wanted" in *postgresql*)
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            printf 'create_main_cluster = false\nstart_conf = manual\n' >/etc/postgresql-common/createcluster.conf
        ;;
    esac
    apt-get update -qq >/dev/null
    # Each by itself: one that this system does not have keeps no other away.
    missing=""
    for package in $wanted; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            missing="$missing $package"
    done
    wanted="$missing"
    [ -z "$wanted" ] && exit 0
fi
echo "not installed, so their tests are skipped:$wanted"
