#!/usr/bin/env bash
# Formats the code of the workspace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo fmt --all
