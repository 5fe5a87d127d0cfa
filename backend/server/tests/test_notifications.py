"""Which workers leave copies of messages in Redis until they are acknowledged."""

import pytest

from backend.celery import app, drop_copies_of_notifications


@pytest.mark.parametrize(
    ("queues", "copies"),
    [({"agents"}, False), ({"agents", "default"}, True), ({"documents"}, True), ({"default"}, True)],
)
def test_only_a_worker_that_executes_nothing_but_runs_leaves_none(
    queues: set[str], copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.conf, "broker_transport_options", {})
    monkeypatch.setattr(app.amqp.queues, "_consume_from", {name: app.amqp.queues[name] for name in queues})
    drop_copies_of_notifications()
    with app.connection_for_read() as connection:
        assert getattr(connection.default_channel, "ack_emulation") is copies  # noqa: B009  # Of Redis's channels alone.
