"""Extends the OpenAPI document of drf-spectacular: texts, headers, error responses, streams, examples."""
