#!/usr/bin/env bash
# Lists the targets of a Makefile with the text behind their `##`.
set -euo pipefail
sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' "$@" | while IFS=$'\t' read -r name text; do
    printf '  make %-8s %s\n' "$name" "$text"
done
