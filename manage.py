#!/usr/bin/env python
"""Django's command line."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
    if "runserver" not in sys.argv[1:2]:  # Migrations and checks of everything take as long as they take.
        os.environ |= {"DATABASE_STATEMENT_SECONDS": "0", "DATABASE_LOCK_SECONDS": "0"}
    execute_from_command_line(sys.argv)
