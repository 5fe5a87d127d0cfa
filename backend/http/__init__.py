"""The REST edge: what every view of the API shares. No models.

problems.py      problem documents (RFC 9457), the format of every error
codes.py         their codes and default texts
errors.py        middleware and handlers that turn every other error response into one
parsers.py       the strict JSON parser
fields.py        serializer fields that accept exactly the declared JSON types
ids.py           public ids
money.py         amounts as decimal strings
mailboxes.py     the canonical form of e-mail addresses
pagination.py    cursor pages
views.py         mixins of viewsets
methods.py       405 before any other check
negotiation.py   the format of a response
headers.py       security headers
limits.py        rate limits
concurrency.py   limits on concurrent work
sse.py           server-sent events
probes.py        /healthz, /readyz, /metrics
schema.py        /api/schema, /api/docs
openapi/         what the OpenAPI document says beyond drf-spectacular
checks.py        system checks of settings
"""
