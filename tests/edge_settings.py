"""The settings of the small site of tests/edge_site.py."""

from backend.settings import *  # noqa: F403

ROOT_URLCONF = "tests.edge_site"
