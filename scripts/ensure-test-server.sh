#!/usr/bin/env bash
# Makes sure that a server which some tests start by themselves is there, and
# prints the path of its program: pgbouncer or redis.
#
# Looks on the usual paths; else, as root, asks the system's package manager.
# Where neither helps it fails for root and wherever CI is set; for everybody
# else it says so loudly and ends well, with nothing on standard output: the
# tests that need it are then left out. ATHENA_TEST_SKIP_PGBOUNCER=1 and
# ATHENA_TEST_SKIP_REDIS=1 leave them out wherever.
#
#   export ATHENA_PGBOUNCER="$(scripts/ensure-test-server.sh pgbouncer)"
#   export ATHENA_REDIS_SERVER="$(scripts/ensure-test-server.sh redis)"
set -euo pipefail

say() { printf 'ensure-test-server: %s\n' "$*" >&2; }

case "${1:-}" in
pgbouncer)
    program=pgbouncer given=${ATHENA_PGBOUNCER:-} variable=ATHENA_PGBOUNCER
    skip=ATHENA_TEST_SKIP_PGBOUNCER
    debian=pgbouncer others=pgbouncer tests="THE TESTS BEHIND A TRANSACTION POOLER"
    ;;
redis)
    program=redis-server given=${ATHENA_REDIS_SERVER:-} variable=ATHENA_REDIS_SERVER
    skip=ATHENA_TEST_SKIP_REDIS
    debian=redis-server others=redis tests="THE TESTS OF WHAT GATEWAYS SHARE IN REDIS"
    ;;
*)
    say "which: pgbouncer or redis?"
    exit 2
    ;;
esac

find_program() {
    local place
    for place in "$given" "$(command -v "$program" 2>/dev/null || true)" \
        "/usr/sbin/$program" "/usr/local/sbin/$program" "/usr/local/bin/$program" "/opt/homebrew/bin/$program"; do
        if [ -n "$place" ] && [ -x "$place" ]; then
            printf '%s\n' "$place"
            return 0
        fi
    done
    return 1
}

install_package() {
    say "installing $program"
    if command -v apt-get >/dev/null 2>&1; then
        { apt-get update -qq || true; } >&2
        # The package would start a service of its own.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$debian" >&2
    elif command -v dnf >/dev/null 2>&1; then
        dnf install -y -q "$others" >&2
    elif command -v apk >/dev/null 2>&1; then
        apk add --quiet "$others" >&2
    elif command -v pacman >/dev/null 2>&1; then
        pacman -Sy --noconfirm --needed "$others" >&2
    elif command -v zypper >/dev/null 2>&1; then
        zypper --non-interactive --quiet install "$others" >&2
    else
        return 1
    fi
}

if [ "${!skip:-0}" = 1 ]; then
    say "$tests are left out ($skip=1)"
    exit 0
fi
if find_program; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && install_package && find_program; then
    exit 0
fi
say "$program is missing and could not be installed (root and a package manager are needed)."
if [ "$(id -u)" -eq 0 ] || [ -n "${CI:-}" ]; then
    say "Install the package $others, set $variable to the program, or set $skip=1"
    say "to leave out $tests."
    exit 1
fi
say "$tests WILL BE LEFT OUT. Install the package $others, or set"
say "$variable to the program, to run them."
