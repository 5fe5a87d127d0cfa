"""What runs in the parser process: no Django, no settings, no database, no secrets.

The process is started with this package's folder on its path (``ingestion/process.py``), so modules here import each
other relatively and nothing else of the project.
"""
