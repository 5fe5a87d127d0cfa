"""A pytest plugin: which worker of pytest-xdist takes which file next.

The files of this folder start processes and browsers, and mostly wait for them; those of the apps compute. Two workers
that take the same kind either wait together or share a core. So the files stay in the order of ``testpaths``, the apps'
first, and every second worker takes from the end. They meet among the apps' files, which are short, so that none is
left alone with a long one; and the stack that several files share starts in one worker, not in all.
"""

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None

    class FromBothEnds(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types.
        def _assign_work_unit(self, node: Any) -> None:
            if int(node.gateway.id.removeprefix("gw")) % 2 == 0:
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    config.option.loadscopereorder = False  # Not by the number of tests: the longest files have the fewest.
    return FromBothEnds(config, log)
