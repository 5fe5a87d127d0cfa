#!/bin/sh
# Bring the whole stack up under a name of its own, do the main job, break it piece by piece, and take it down again.
# Any engine with Compose v2 or v1.29 will do; verify.py says what can be set.
exec python3 "$(dirname "$0")/verify.py" "$@"
