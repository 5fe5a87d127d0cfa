"""Bounds slow work of the web process: how many threads do it, and how much processor time a workspace may use."""

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

# A leaky bucket. KEYS: the bucket. ARGV: what to add, the capacity, and the time in which a full bucket empties, all in
# milliseconds. Returns the level.
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
class CpuRateLimit:
    """A limit of processor seconds per minute and workspace, counted across processes.

    The cost of work is known only after it, so a workspace exceeds the limit by what it has running. Without Redis
    nothing is counted, and ``Admission`` alone bounds the work.
    """

    policy: str
    seconds: float

    def spent(self, workspace: str) -> float:
        """The processor seconds that the workspace has used lately.

        :raises RateLimited: all that it may; the response names the time until it may use more.
        """
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
class _Request:
    workspace: str
    spent: float
    heavy: bool
    decided: threading.Event = field(default_factory=threading.Event)


class Admission:
    """Lets ``max_running`` threads run and ``max_admitted`` run or wait; any other is refused at once.

    Fairness between workspaces:

    1. A workspace has one thread running at a time.
    2. Workspaces that have used ``heavy_seconds`` of the processor lately leave one thread to the others.
    3. The waiting request whose workspace has used the least comes first. A new request takes the place of the waiting
       one whose workspace has used the most, if its own has used less.

    :param max_wait: seconds that a thread waits, at most.
    """

    def __init__(
        self, *, max_running: int, max_admitted: int, max_wait: float, heavy_seconds: float = math.inf
    ) -> None:
        self._max_running = max_running
        self._max_admitted = max(max_running, max_admitted)
        self._max_wait = max_wait
        self._heavy_seconds = heavy_seconds
        self._lock = threading.Lock()
        self._running: list[_Request] = []
        self._waiting: list[_Request] = []

    @contextmanager
    def admitted(self, workspace: str = "", *, spent: float = 0.0) -> Iterator[None]:
        """Run the block once it is this request's turn.

        :raises ServiceUnavailable: too many threads run or wait, or the wait took ``max_wait``.
        """
        request = _Request(workspace, spent, heavy=spent >= self._heavy_seconds)
        with self._lock:
            if len(self._running) + len(self._waiting) >= self._max_admitted:
                self._evict_one(request)
            self._waiting.append(request)
            self._start_waiting()
        try:
            request.decided.wait(self._max_wait)
            with self._lock:
                if request not in self._running:
                    raise ServiceUnavailable
            yield
        finally:
            with self._lock:
                for requests in (self._running, self._waiting):
                    if request in requests:
                        requests.remove(request)
                self._start_waiting()

    def _rank(self, request: _Request) -> tuple[bool, float]:
        """The order of requests: the lowest is next. The cost of a running request is not counted yet."""
        return any(other.workspace == request.workspace for other in self._running), request.spent

    def _evict_one(self, request: _Request) -> None:
        """Refuse the waiting request that comes last. The caller holds the lock.

        :raises ServiceUnavailable: every waiting request comes before this one.
        """
        worst = max(self._waiting, key=self._rank, default=None)
        if worst is None or self._rank(worst) <= self._rank(request):
            raise ServiceUnavailable
        self._waiting.remove(worst)
        worst.decided.set()

    def _start_waiting(self) -> None:
        """Start waiting requests while threads are free. The caller holds the lock."""
        for request in sorted(self._waiting, key=self._rank):
            if len(self._running) >= self._max_running:
                return
            of_workspace = Counter(other.workspace for other in self._running if other.workspace)
            heavy = sum(other.heavy for other in self._running)
            if of_workspace[request.workspace] or (request.heavy and heavy >= max(1, self._max_running - 1)):
                continue
            self._waiting.remove(request)
            self._running.append(request)
            request.decided.set()
