"""`/metrics` of 8082: counters fed by events, gauges read from the rooms' `statistics()` when somebody asks.

Owns the registry, the names and what they mean (docs/reference/metrics.md, checked by a test). No channel is
a label: 256 channels of every session would outlive their use in the scraper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import Event

Statistics = Callable[[], Mapping[str, float]]

LATENCY_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 60.0)
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a room's statistics."""

    help: str
    is_counter: bool = False  # only grows; written with `_total`


class _Rooms(Collector):
    """`host_stt_<room>_<figure>` from each room's statistics."""

    def __init__(self) -> None:
        self.rooms: dict[str, tuple[Statistics, Mapping[str, Figure]]] = {}

    def collect(self) -> Iterator[Metric]:
        for room, (statistics, figures) in self.rooms.items():
            values = statistics()
            for name, figure in figures.items():
                family = CounterMetricFamily if figure.is_counter else GaugeMetricFamily
                yield family(f"host_stt_{room}_{name}", figure.help, value=values[name])


WATCHERS = {
    "count": Figure("Watchers connected now."),
    "waiting": Figure("Events not yet sent, over all watchers."),
    "waiting_max": Figure("Events not yet sent to the slowest watcher."),
    "overflowed": Figure("Watchers cut because they were too slow.", is_counter=True),
    "interims_dropped": Figure(
        "Interims a slow watcher did not get; newer ones took their place.", is_counter=True
    ),
}
BACKFILL = {
    "callers": Figure("Conversations in which clients sent sound of the past.", is_counter=True),
    "refused": Figure("Such conversations refused or ended with an error.", is_counter=True),
    "sent_ms": Figure("Milliseconds of sound of the past that came.", is_counter=True),
    "filled_ms": Figure("Milliseconds of gaps filled with it.", is_counter=True),
    "segments": Figure("Final segments written for it.", is_counter=True),
    "in_hand": Figure("Channels being filled now."),
}

REGISTRY = {
    "sessions": Figure("Sessions held, ended ones too."),
    "connections": Figure("Connections that feed channels now."),
    "channels_fed": Figure("Channels fed now."),
    "connections_webrtc": Figure("Peer connections now."),
    "connections_whip": Figure("WHIP publishers now."),
    "connections_socket": Figure("WebSockets that bring sound now."),
    "connections_push": Figure("Files being read now."),
}
WHIP = {
    "published": Figure("WHIP sessions begun.", is_counter=True),
    "refused": Figure("WHIP offers refused.", is_counter=True),
    "trickled": Figure("PATCH requests with candidates.", is_counter=True),
    "candidates": Figure("Candidates in them.", is_counter=True),
}
SOCKETS = {
    "frames": Figure("Frames of sound taken from WebSockets.", is_counter=True),
    "bytes": Figure("Their bytes.", is_counter=True),
    "audio_ms": Figure("Milliseconds of sound decoded from them.", is_counter=True),
    "slowed": Figure("Times that a sender faster than real time had to wait.", is_counter=True),
    "refused": Figure("WebSockets closed with an error.", is_counter=True),
}
COVERAGE = {
    "transcribed_ms": Figure("Milliseconds of speech that was read, over all channels since the start."),
    "silence_ms": Figure("Milliseconds in which nobody spoke."),
    "shed_ms": Figure("Milliseconds refused because too much waited."),
    "lost_ms": Figure("Milliseconds that never came."),
    "failed_ms": Figure("Milliseconds that the engine could not read."),
    "closed_ms": Figure("Milliseconds in which a sender that ended in good order sent nothing."),
    "events": Figure("Events that told of it.", is_counter=True),
    "violations": Figure("Times that a ledger was found broken (coverage.check).", is_counter=True),
}
CONNECTIONS = {
    "open": Figure("TCP connections that are open."),
    "strangers": Figure("TCP connections that are open and have shown no token."),
    "closed": Figure("TCP connections closed: silent, slow, or to make room.", is_counter=True),
    "refused": Figure("TCP connections refused because there was no room.", is_counter=True),
}
CALLERS = {
    "in_hand": Figure("Requests and streams in hand."),
    "refused": Figure("Requests refused because a caller asked too much.", is_counter=True),
}
ENGINE = {
    "is_connected": Figure("1 while the engine can be reached."),
    "waiting": Figure("Windows accepted and not yet on the way to the engine."),
    "in_flight": Figure("Windows sent and not answered."),
    "answered": Figure("Windows read by the engine.", is_counter=True),
    "shed": Figure("Interim windows that a newer one replaced.", is_counter=True),
    "failed": Figure("Windows that could not be read.", is_counter=True),
    "retried": Figure("Windows sent again after an error.", is_counter=True),
    "resent": Figure("Windows sent again after the engine was lost.", is_counter=True),
}
SPEECH = {
    "channels_open": Figure("Channels with a speech pipeline now."),
    "blocks": Figure("Blocks of audio taken.", is_counter=True),
    "audio_ms": Figure("Milliseconds of audio taken.", is_counter=True),
    "queued_ms": Figure("Milliseconds of audio waiting for speech detection."),
    "shed_ms": Figure("Milliseconds of audio refused because too much waited.", is_counter=True),
    "interims_shed": Figure("Interims not asked for, or replaced.", is_counter=True),
    "windows_in_flight": Figure("Windows asked of the engine and not answered."),
}
ONE_PORT = {
    "packets": Figure("UDP packets taken.", is_counter=True),
    "rescued": Figure("Of those, read by the thread because the event loop was busy.", is_counter=True),
    "waiting": Figure("UDP packets read and not yet handed on."),
    "dropped": Figure(
        "UDP packets lost because too many waited, here or in the system, or of peers cut off.",
        is_counter=True,
    ),
    "unknown": Figure("Packets that belong to no peer.", is_counter=True),
    "unsigned": Figure("ICE requests with a peer's name and a wrong password.", is_counter=True),
    "refused": Figure("Packets of sound that the peer did not sign, or sent twice.", is_counter=True),
    "overflowed": Figure("Packets lost because too many waited for one peer.", is_counter=True),
    "flooded": Figure("Packets beyond what a peer may send.", is_counter=True),
    "cut": Figure("Peers cut off for sending too much.", is_counter=True),
    "errors": Figure("Packets that could not be handled.", is_counter=True),
    "unsent": Figure("UDP packets that the system did not take.", is_counter=True),
    "peers_udp": Figure("Peers connected over UDP."),
    "peers_tcp": Figure("Peers connected over TCP."),
    "peers_relay": Figure("Peers connected through a TURN server."),
    "peers_connecting": Figure("Peers on their way."),
    "tcp_connections": Figure("TCP connections that carry ICE."),
    "tcp_opened": Figure("TCP connections that began to carry ICE.", is_counter=True),
    "addresses": Figure("Addresses that peers were seen at."),
}
RECORD = {
    "is_degraded": Figure("1 while the record cannot be written; text goes on, marked as not durable."),
    "events_waiting": Figure("Events emitted and not yet on disk."),
    "events_saved": Figure("Events written.", is_counter=True),
    "events_given_up": Figure("Events that are missing in the record.", is_counter=True),
    "groups": Figure("Transactions; each writes what waited.", is_counter=True),
    "failures": Figure("Transactions that could not be committed.", is_counter=True),
    "commit_ms_max": Figure("The longest transaction since the start, in milliseconds."),
    "reads_waiting": Figure("Reads of the record going on or waiting."),
    "reads_refused": Figure("Reads refused because too many waited.", is_counter=True),
}
ARCHIVE = {
    "packets": Figure("Opus packets kept.", is_counter=True),
    "bytes": Figure("Bytes of sound written.", is_counter=True),
    "files_open": Figure("Files of sound being written."),
    "held_bytes": Figure("Bytes of sound on disk in finished files."),
    "removed_bytes": Figure("Bytes of sound removed by retention or for want of room.", is_counter=True),
    "lost_ms": Figure("Milliseconds of sound that could not be kept.", is_counter=True),
    "waiting_bytes": Figure("Bytes of packets waiting to be written."),
    "encoding_ms": Figure("Milliseconds of sound waiting to be encoded."),
    "sync_ms": Figure("What the last sync of all open files took."),
    "unsynced_ms_max": Figure("The longest a packet was not yet safe from a power cut."),
    "unwritten_ms_max": Figure("The longest a packet was not yet safe from the end of the process."),
    "is_degraded": Figure("1 while sound cannot be kept."),
}
RECOVERY = {
    "feeds_waiting": Figure("Feeds cut off by a crash that are still to be read again."),
    "feeds_done": Figure("Feeds read again.", is_counter=True),
    "feeds_failed": Figure("Feeds that could not be read again.", is_counter=True),
    "audio_ms": Figure("Milliseconds of sound read again.", is_counter=True),
    "finals": Figure("Finals given that a crash had held back.", is_counter=True),
}


RECEPTION = {
    "tracks": Figure("Tracks being read now."),
    "packets": Figure("RTP packets received.", is_counter=True),
    "lost": Figure("Packets given up after waiting for them.", is_counter=True),
    "late": Figure("Of the lost ones, those that came after all.", is_counter=True),
    "duplicates": Figure("Packets that came twice.", is_counter=True),
    "reordered": Figure("Packets that were overtaken and put in their place.", is_counter=True),
    "repaired": Figure("Lost packets that came back from the copy in the next one.", is_counter=True),
    "undecodable": Figure("Packets that could not be decoded.", is_counter=True),
    "ignored": Figure("Packets that are no sound: events, comfort noise, strays.", is_counter=True),
    "refused": Figure("Packets beyond what one track may send.", is_counter=True),
    "unread": Figure("Packets of tracks whose channel is closed.", is_counter=True),
    "failed": Figure("Packets dropped because of an error in this server.", is_counter=True),
    "concealed_ms": Figure("Milliseconds made up for short holes.", is_counter=True),
    "silence_ms": Figure("Milliseconds of lost sound, silence in its place.", is_counter=True),
    "paused_ms": Figure("Milliseconds in which a source stood still.", is_counter=True),
    "trimmed_ms": Figure("Milliseconds cut off because they came twice.", is_counter=True),
    "pauses": Figure("Times a source stood still and went on.", is_counter=True),
    "bursts": Figure("Times the network held packets up and sent them at once.", is_counter=True),
    "restarts": Figure("Times a sender started over with new RTP time.", is_counter=True),
    "jitter_ms_max": Figure("Interarrival jitter of the worst track (RFC 3550)."),
    "lag_ms_max": Figure("From a sound's place to its arrival, of the worst track."),
    "wait_ms_max": Figure("How long a missing packet is waited for, of the worst track."),
    "drift_ppm_max": Figure("Parts per million between a sender's clock and ours, of the worst track."),
}


class Metrics:
    """The process's figures. `observe` is a listener of every event log."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rooms = _Rooms()
        self.registry.register(self._rooms)
        self._events = Counter(
            "host_stt_events", "Events emitted, by type.", ["type"], registry=self.registry
        )
        for kind in EventType:
            self._events.labels(kind.value)
        self._latency = Histogram(
            "host_stt_latency_seconds",
            "From the end of the speech a text covers to its emission.",
            ["type"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._lag = Histogram(
            "host_stt_loop_lag_seconds",
            "How late the event loop came back to a sleeper.",
            buckets=LAG_BUCKETS_S,
            registry=self.registry,
        )

    def add_room(self, room: str, statistics: Statistics, figures: Mapping[str, Figure]) -> None:
        """statistics: read at every scrape. figures: those of them to show."""
        self._rooms.rooms[room] = (statistics, figures)

    def observe(self, event: Event) -> None:
        self._events.labels(event.kind.value).inc()
        if event.latency_ms is not None:
            self._latency.labels(event.kind.value).observe(event.latency_ms / 1000)

    def observe_lag(self, lag_s: float) -> None:
        self._lag.observe(lag_s)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
