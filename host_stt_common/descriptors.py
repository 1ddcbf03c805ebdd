"""Raise the limit of file descriptors, and reserve some that network connections never get.

Each connection, each archive file and each file of the record uses one. If connections could use all of them,
callers without a token could stop the server from writing audio and the record.
"""

from __future__ import annotations

import logging
import os
import resource

logger = logging.getLogger(__name__)

RESERVED = 200
"""Reserved for disk and engine: the files of 64 channels, the record, models, the engine's connections."""
WANTED = 4096
"""With fewer, the configured limits of connections (4,000 requests in progress) cannot be reached."""
MOST = 1_048_576
"""Some systems have a hard limit a thousand times higher; loops over all descriptors then take seconds."""


def raise_limit() -> int:
    """Raise this process's soft limit to the hard limit; returns the new limit. Warns if it is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS allows less than its hard limit
            logger.warning("the limit of open files stays at %d: %s", soft, error)
    now = limit()
    if now < WANTED:
        logger.warning(
            "only %d files and connections may be open (ulimit -n), %d of them reserved for disk and engine; "
            "raise the limit to %d: LimitNOFILE= of the unit, `ulimits: nofile` of the container",
            *(now, reserved_of(now), WANTED),
        )
    return now


def limit() -> int:
    """The current soft limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def reserved_of(of: int) -> int:
    """How many of `of` descriptors are reserved: RESERVED, or half if there are very few."""
    return min(RESERVED, of // 2)


def network_limit() -> int:
    """While fewer descriptors than this are in use, a new connection is accepted."""
    now = limit()
    return now - reserved_of(now)


def in_use() -> int:
    """How many descriptors this process has open; 0 if the system does not report it."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # less the folder itself
        except OSError:
            continue
    return 0
