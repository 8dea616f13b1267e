#!/usr/bin/env bash
# Makes sure that PgBouncer is there for the tests behind a transaction pooler,
# and prints its path.
#
# Looks on the usual paths; else, as root, asks the system's package manager.
# Where neither helps it says so loudly and ends well, with nothing on standard
# output: the tests that need it then name themselves as left out.
#
#   export ATHENA_PGBOUNCER="$(scripts/ensure-pgbouncer.sh)"
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

find_program() {
    local place
    for place in "${ATHENA_PGBOUNCER:-}" "$(command -v pgbouncer 2>/dev/null || true)" \
        /usr/sbin/pgbouncer /usr/local/sbin/pgbouncer /usr/local/bin/pgbouncer /opt/homebrew/bin/pgbouncer; do
        if [ -n "$place" ] && [ -x "$place" ]; then
            printf '%s\n' "$place"
            return 0
        fi
    done
    return 1
}

install_package() {
    if command -v apt-get >/dev/null 2>&1; then
        say "ensure-pgbouncer: installing PgBouncer with apt-get"
        { apt-get update -qq || true; } >&2
        # The package would start a service of its own.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pgbouncer >&2
    elif command -v dnf >/dev/null 2>&1; then
        say "ensure-pgbouncer: installing PgBouncer with dnf"
        dnf install -y -q pgbouncer >&2
    elif command -v apk >/dev/null 2>&1; then
        say "ensure-pgbouncer: installing PgBouncer with apk"
        apk add --quiet pgbouncer >&2
    elif command -v pacman >/dev/null 2>&1; then
        say "ensure-pgbouncer: installing PgBouncer with pacman"
        pacman -Sy --noconfirm --needed pgbouncer >&2
    elif command -v zypper >/dev/null 2>&1; then
        say "ensure-pgbouncer: installing PgBouncer with zypper"
        zypper --non-interactive --quiet install pgbouncer >&2
    else
        return 1
    fi
}

if find_program; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && install_package && find_program; then
    exit 0
fi
say "ensure-pgbouncer: PgBouncer is missing and could not be installed (root and a package manager are needed)."
say "ensure-pgbouncer: THE TESTS BEHIND A TRANSACTION POOLER WILL BE LEFT OUT. Install the package pgbouncer,"
say "ensure-pgbouncer: or set ATHENA_PGBOUNCER to the program, to run them."
