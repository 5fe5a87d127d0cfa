"""The routes of documents."""
