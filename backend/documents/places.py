"""A small share of this process's threads, and of the processor, for work that takes long."""

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from backend.db.redis import client
from backend.errors import ServiceUnavailable
from backend.http.limits import RateLimited

logger = logging.getLogger(__name__)

# A bucket that leaks. KEYS: the bucket. ARGV: what to add in milliseconds, what the bucket holds, and how long it takes
# to empty when full. Returns what is in it.
_SPEND = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'spent', 'at')
local spent = tonumber(kept[1]) or 0
spent = math.max(0, spent - (now - (tonumber(kept[2]) or now)) * ARGV[2] / ARGV[3]) + ARGV[1]
if tonumber(ARGV[1]) > 0 then
  redis.call('HSET', KEYS[1], 'spent', tostring(spent), 'at', now)
  redis.call('PEXPIRE', KEYS[1], math.ceil(spent * ARGV[3] / ARGV[2]) + 1000)
end
return tostring(spent)
"""
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Budget:
    """Processor seconds per minute of each workspace, counted across processes; at most so many in one go.

    What work costs is known at its end, so a workspace goes over by what it has under way. Without Redis nothing is
    counted, and the places alone bound the work.
    """

    policy: str
    seconds: float

    def spent(self, workspace: str) -> float:
        """:raises RateLimited: all of it, with when some is there again."""
        spent = self._count(workspace, 0.0)
        if spent >= self.seconds:
            wait = math.ceil((spent - self.seconds) * _MINUTE / self.seconds) + 1
            raise RateLimited(headers={"Retry-After": str(wait)})
        return spent

    def spend(self, workspace: str, seconds: float) -> None:
        self._count(workspace, seconds)

    def _count(self, workspace: str, seconds: float) -> float:
        arguments = [round(seconds * 1000), round(self.seconds * 1000), round(_MINUTE * 1000)]
        try:
            spend = client().register_script(_SPEND)
            return float(spend(keys=[f"cpu:{self.policy}:{workspace}"], args=arguments)) / 1000
        except (RedisError, OSError) as error:
            logger.warning("cpu_not_counted policy=%s error=%s", self.policy, error)
            return 0.0


@dataclass(eq=False)
class _Ticket:
    workspace: str
    spent: float
    heavy: bool
    decided: threading.Event = field(default_factory=threading.Event)


class Places:
    """At most ``at_once`` threads work and ``held`` of them work or wait; any other is refused at once.

    One workspace works in one place at a time. Those that have spent much lately leave one place to the others. Among
    those that wait the one comes first that has spent least, and one that has spent more gives up its wait for it.

    :param wait: seconds that a thread waits for its turn, at most.
    :param much: processor seconds.
    """

    def __init__(self, *, at_once: int, held: int, wait: float, much: float = math.inf) -> None:
        self._at_once = at_once
        self._held = max(at_once, held)
        self._wait = wait
        self._much = much
        self._lock = threading.Lock()
        self._working: list[_Ticket] = []
        self._waiting: list[_Ticket] = []

    @contextmanager
    def taken(self, workspace: str = "", *, spent: float = 0.0) -> Iterator[None]:
        """:raises ServiceUnavailable: too many threads do this already."""
        ticket = _Ticket(workspace, spent, heavy=spent >= self._much)
        with self._lock:
            if len(self._working) + len(self._waiting) >= self._held:
                self._displace(ticket)
            self._waiting.append(ticket)
            self._begin()
        try:
            ticket.decided.wait(self._wait)
            with self._lock:
                if ticket not in self._working:
                    raise ServiceUnavailable
            yield
        finally:
            with self._lock:
                for tickets in (self._working, self._waiting):
                    if ticket in tickets:
                        tickets.remove(ticket)
                self._begin()

    def _rank(self, ticket: _Ticket) -> tuple[bool, float]:
        """The lower is next. What a workspace spends with the place it has is not counted yet."""
        return any(other.workspace == ticket.workspace for other in self._working), ticket.spent

    def _displace(self, ticket: _Ticket) -> None:
        """End the wait of the one that would be the last. The caller has the lock.

        :raises ServiceUnavailable: all of those that wait come before this one.
        """
        worst = max(self._waiting, key=self._rank, default=None)
        if worst is None or self._rank(worst) <= self._rank(ticket):
            raise ServiceUnavailable
        self._waiting.remove(worst)
        worst.decided.set()

    def _begin(self) -> None:
        """Let those work for whom there is a place. The caller has the lock."""
        for ticket in sorted(self._waiting, key=self._rank):
            if len(self._working) >= self._at_once:
                return
            of_workspace = Counter(other.workspace for other in self._working if other.workspace)
            heavy = sum(other.heavy for other in self._working)
            if of_workspace[ticket.workspace] or (ticket.heavy and heavy >= max(1, self._at_once - 1)):
                continue
            self._waiting.remove(ticket)
            self._working.append(ticket)
            ticket.decided.set()
