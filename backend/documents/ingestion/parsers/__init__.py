"""Modules that run in the parser process, without Django, settings, database and secrets.

The process is started with this package's folder on its path (``ingestion/process.py``), so modules here import each
other relatively and nothing else of the project.
"""
