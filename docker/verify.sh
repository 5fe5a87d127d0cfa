#!/bin/sh
# Start the whole stack under a project name of its own, do the main job, break each part, and remove the stack.
# Works with any engine with Compose v2 or v1.29; verify.py lists its options.
exec python3 "$(dirname "$0")/verify.py" "$@"
