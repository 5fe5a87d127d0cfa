"""Finds pages of the admin and reads what stands on them."""

import re
from typing import Any

from django.urls import reverse


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def words(html: str) -> str:
    """What stands in the main part of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html[html.index('id="content"') :]))
