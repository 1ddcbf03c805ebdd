"""Which channel a talkgroup has: from `radio.talkgroups`, or the next channel that was never used.

Invariant: two talkgroups never get the same channel of a session.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Literal

from host_stt_common.channel_ids import channel_id_of
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.session import Session
from webrtc_host.settings.radio import RadioTalkgroup

RETRY_AFTER_S = 60.0
GIVEN_MAX = 1024  # channels of talkgroups that are not in the configuration


class UnknownTalkgroup(RequestError):
    """The configuration has no channel for the talkgroup. is_ignored: the sender is not to try again."""

    def __init__(self, talkgroup: int, systems: Collection[str] | None, *, is_ignored: bool) -> None:
        of = f" of system {' / '.join(systems)}" if systems else ""
        message = f"talkgroup {talkgroup}{of} is not in radio.talkgroups of this server"
        super().__init__("unknown_talkgroup", message, 403)
        self.is_ignored = is_ignored


class Talkgroups:
    def __init__(
        self,
        known: tuple[RadioTalkgroup, ...],
        unknown: Literal["refuse", "ignore", "next"],
        channels_max: int,
    ) -> None:
        """known, unknown: from the configuration. channels_max: channels of a session."""
        self.known, self.unknown = known, unknown
        self._channels_max = channels_max
        self._given: OrderedDict[tuple[str, str], str] = OrderedDict()  # (session, label) -> channel

    def has_system(self, system: str) -> bool:
        """Whether a call of this system may be accepted."""
        return self.unknown == "next" or any(one.is_of((system,)) for one in self.known)

    def check(self, systems: Collection[str] | None, talkgroup: int) -> None:
        """Raises UnknownTalkgroup."""
        if self.unknown != "next" and self.find(systems, talkgroup) is None:
            raise UnknownTalkgroup(talkgroup, systems, is_ignored=self.unknown == "ignore")

    def find(self, systems: Collection[str] | None, talkgroup: int) -> RadioTalkgroup | None:
        """The entry of the configuration; one that names the system before one of every system.

        systems: names of the system. None: the sender does not say which system it is; then an entry of every
        system comes first.
        """
        found = [
            one
            for one in self.known
            if one.talkgroup == talkgroup and (systems is None or one.is_of(systems))
        ]
        is_named = systems is not None
        return min(found, key=lambda one: bool(one.systems) is not is_named, default=None)

    def channel_of(
        self, session: Session, systems: Collection[str] | None, talkgroup: int, label: str | None
    ) -> ChannelSpec:
        """The channel and its label. Raises UnknownTalkgroup, and Overloaded when every channel is used.

        label: from the radio system.
        """
        known = self.find(systems, talkgroup)
        if known is not None:
            return ChannelSpec(known.channel, label=known.label or label or _name_of(talkgroup))
        self.check(systems, talkgroup)
        label = f"{label} ({talkgroup})" if label else _name_of(talkgroup)
        return ChannelSpec(self._next(session, label), label=label)

    def _next(self, session: Session, label: str) -> str:
        """The channel that has this label already, also from before a restart; else one never used."""
        own = {one.channel for one in self.known}
        if (given := self._given.get((session.id, label))) is not None:
            return given
        for channel in session.channels.values():
            if channel.label == label and channel.id not in own:
                return channel.id
        given_here = {channel for (session_id, _), channel in self._given.items() if session_id == session.id}
        for number in range(1, self._channels_max + 1):
            channel_id = channel_id_of(number)
            if channel_id not in own and channel_id not in given_here and channel_id not in session.channels:
                # Noted at once: the channel gets its label only when its first call was decoded.
                self._given[session.id, label] = channel_id
                while len(self._given) > GIVEN_MAX:
                    self._given.popitem(last=False)
                return channel_id
        raise Overloaded(
            "no_free_channel",
            f"all {self._channels_max} channels of {session.id} are used; name the talkgroups that matter in "
            "radio.talkgroups",
            retry_after_s=RETRY_AFTER_S,
        )


def _name_of(talkgroup: int) -> str:
    return f"Talkgroup {talkgroup}"
