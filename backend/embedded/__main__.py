"""``python -m backend.embedded``: Orquestra on one machine, in one terminal."""

import sys

from backend.embedded.launcher import main

if __name__ == "__main__":
    sys.exit(main())
