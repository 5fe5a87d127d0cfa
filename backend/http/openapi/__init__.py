"""What the OpenAPI document says beyond what drf-spectacular finds: words, headers, refusals, streams, examples."""
