"""The events of a run in a Redis Stream ``run:{id}`` with ids ``{epoch}-{seq}``: written once, read by any reader.

The epoch in the id is the fence: Redis refuses an id below the last, so a worker that lost its lease writes nothing.
A run's stream is never trimmed, or a reader would miss words; it expires some time after the run.
"""
