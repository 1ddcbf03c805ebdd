"""File descriptors: as many as the system allows, and some that the network never gets.

Every connection, every file of kept audio and every file of the record takes one. When the network had them
all, audio could not be kept and the record could not be written, and callers without a token could bring
that about.
"""

from __future__ import annotations

import logging
import os
import resource

logger = logging.getLogger(__name__)

KEPT_BACK = 200
"""For disk and engine: the files of 64 channels, the record, models, the engine's connections."""
WANTED = 4096
"""Below it the limits of connections cannot be kept: 4,000 requests in hand."""
MOST = 1_048_576
"""The hard limit of some systems is a thousand times as much; loops over descriptors then take seconds."""


def raise_limit() -> int:
    """Raise this process's soft limit to the hard one; returns what holds now. Warns when it is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS allows less than its hard limit says
            logger.warning("the limit of open files stays at %d: %s", soft, error)
    now = limit()
    if now < WANTED:
        logger.warning(
            "only %d files and connections may be open (ulimit -n), %d of them are kept for disk and engine; "
            "raise the limit to %d: LimitNOFILE= of the unit, `ulimits: nofile` of the container",
            *(now, kept_back(now), WANTED),
        )
    return now


def limit() -> int:
    """The soft limit that holds now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def kept_back(of: int) -> int:
    """How many of so many descriptors the network does not get: KEPT_BACK, or half of very few."""
    return min(KEPT_BACK, of // 2)


def network_limit() -> int:
    """How many descriptors may be in use when the network asks for another."""
    now = limit()
    return now - kept_back(now)


def in_use() -> int:
    """How many descriptors this process has open; 0 where the system does not say."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # less the folder itself
        except OSError:
            continue
    return 0
