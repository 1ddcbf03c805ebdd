"""The metrics of 8082: one declaration for each. Their meaning for people: docs/reference/metrics.md.

A `Group` names the keys of a component's `statistics()`; `app` gives each group its component.
"""

from __future__ import annotations

from host_stt_common.metrics import Group, Metric, counter, gauge, histogram

EVENTS = counter("host_stt_events", "Events, by type", "type")
LATENCY = histogram(
    "host_stt_latency_seconds",
    "From the end of the speech to the event with its text",
    "type",
    buckets=(0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 60.0),
)
LOOP_LAG = histogram(
    "host_stt_loop_lag_seconds",
    "How late the event loop runs a task that is due",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)

WATCHERS = Group(
    "host_stt_watchers",
    gauge("count", "Watchers connected now"),
    gauge("waiting", "Events not sent yet, over all watchers"),
    gauge("waiting_max", "Events not sent yet to the slowest watcher"),
    counter("overflowed", "Watchers disconnected because they were too slow"),
    counter("interims_dropped", "Interims that a slow watcher did not get, because newer ones replaced them"),
)
ONE_PORT = Group(
    "host_stt_port",
    counter("packets", "UDP packets received"),
    counter("rescued", "Of the received packets, those read by a thread because the event loop was busy"),
    gauge("waiting", "UDP packets read and not processed yet"),
    counter(
        "dropped",
        "UDP packets dropped because too many were waiting, here or in the system, or because their peer is "
        "blocked",
    ),
    counter("unknown", "Packets that belong to no peer"),
    counter("unsigned", "ICE requests with a peer's name and a wrong password"),
    counter("refused", "Audio packets with a wrong signature, or sent twice"),
    counter("overflowed", "Packets dropped because too many were waiting for one peer"),
    counter("flooded", "Packets beyond the rate that one peer may send"),
    counter("cut", "Peers blocked because they sent too much"),
    counter("errors", "Packets that caused an error in this server"),
    counter("unsent", "UDP packets that the system did not accept for sending"),
    gauge("peers_udp", "Peers connected over UDP"),
    gauge("peers_tcp", "Peers connected over TCP"),
    gauge("peers_relay", "Peers connected through a TURN server"),
    gauge("peers_connecting", "Peers that are still connecting"),
    gauge("tcp_connections", "TCP connections that carry ICE"),
    counter("tcp_opened", "TCP connections that began to carry ICE"),
    gauge("addresses", "Addresses from which packets of peers came"),
)
REGISTRY = Group(
    "host_stt_registry",
    gauge("sessions", "Sessions in memory, also those that have ended"),
    gauge("connections", "Connections that send audio to channels now"),
    gauge("channels_fed", "Channels that a connection sends audio to now"),
    gauge("connections_webrtc", "Peer connections now"),
    gauge("connections_whip", "WHIP publishers now"),
    gauge("connections_socket", "WebSockets that send audio now"),
    gauge("connections_push", "Uploads being transcribed now"),
)
WHIP = Group(
    "host_stt_whip",
    counter("published", "WHIP sessions begun"),
    counter("refused", "WHIP offers refused"),
    counter("trickled", "PATCH requests with ICE candidates"),
    counter("candidates", "ICE candidates in PATCH requests"),
)
SOCKETS = Group(
    "host_stt_sockets",
    counter("frames", "Audio frames received over WebSockets"),
    counter("bytes", "Bytes of the audio frames received over WebSockets"),
    counter("audio_ms", "Milliseconds of audio decoded from WebSockets"),
    counter("slowed", "Times that the server read more slowly because a sender was faster than real time"),
    counter("refused", "WebSockets closed with an error"),
)
BACKFILL = Group(
    "host_stt_backfill",
    counter("callers", "Backfill WebSockets opened"),
    counter("refused", "Backfill WebSockets refused or closed with an error"),
    counter("sent_ms", "Milliseconds of audio that backfills sent"),
    counter("filled_ms", "Milliseconds of gaps that backfills filled"),
    counter("segments", "Finals written from backfilled audio"),
    gauge("in_hand", "Channels that a backfill fills now"),
)
RECEPTION = Group(
    "host_stt_reception",
    gauge("tracks", "Tracks that send audio to channels now"),
    counter("packets", "RTP packets received"),
    counter("lost", "Packets that did not arrive in the time that the jitter buffer waits"),
    counter("late", "Of the lost packets, those that arrived later"),
    counter("duplicates", "Packets that arrived twice"),
    counter("reordered", "Packets that arrived out of order and were put in their place"),
    counter("repaired", "Lost packets decoded from the copy in the next packet"),
    counter("undecodable", "Packets that could not be decoded"),
    counter("ignored", "Packets without audio: events, comfort noise, packets of an unknown source"),
    counter("refused", "Packets beyond the rate that one track may send"),
    counter("unread", "Packets of tracks whose channel is closed"),
    counter("failed", "Packets dropped because of an error in this server"),
    counter("concealed_ms", "Milliseconds of audio estimated for short gaps"),
    counter("silence_ms", "Milliseconds of lost audio, replaced with silence"),
    counter("paused_ms", "Milliseconds in which a source sent nothing and its RTP time stopped"),
    counter("trimmed_ms", "Milliseconds of audio removed because it arrived twice"),
    counter("pauses", "Times that a source stopped and continued"),
    counter("bursts", "Times that the network held packets back and delivered them together"),
    counter("restarts", "Times that a sender began again with a new RTP time"),
    gauge("jitter_ms_max", "Interarrival jitter of the worst track (RFC 3550)"),
    gauge("lag_ms_max", "From the place of the audio on the timeline to its arrival, of the worst track"),
    gauge("wait_ms_max", "How long the jitter buffer waits for a missing packet, of the worst track"),
    gauge("drift_ppm_max", "Parts per million between a sender's clock and the server's, of the worst track"),
)
COVERAGE = Group(
    "host_stt_coverage",
    gauge("transcribed_ms", "Milliseconds of speech transcribed, over all channels since the start"),
    gauge("silence_ms", "Milliseconds without speech"),
    gauge("shed_ms", "Milliseconds not transcribed because too much was waiting"),
    gauge("lost_ms", "Milliseconds of audio that never arrived"),
    gauge("failed_ms", "Milliseconds of audio that the engine could not transcribe"),
    gauge("closed_ms", "Milliseconds in which a sender that ended in an orderly way sent nothing"),
    counter("events", "Events about coverage"),
    counter("violations", "Errors in the coverage that its own check found (coverage.check)"),
)
CONNECTIONS = Group(
    "host_stt_connections",
    gauge("open", "Open TCP connections"),
    gauge("strangers", "Open TCP connections that have sent no valid token"),
    counter("closed", "TCP connections closed because they were silent, slow, or one too many"),
    counter("refused", "TCP connections refused because too many were open"),
)
CALLERS = Group(
    "host_stt_callers",
    gauge("in_hand", "Requests and streams in progress"),
    counter("refused", "Requests refused because a caller was over a limit"),
)
ENGINE = Group(
    "host_stt_engine",
    gauge("is_connected", "1 while the engine is connected"),
    gauge("waiting", "Windows accepted and not sent to the engine yet"),
    gauge("in_flight", "Windows sent to the engine that have no result yet"),
    counter("answered", "Windows with a result"),
    counter("shed", "Interim windows that a newer one replaced"),
    counter("failed", "Windows that could not be transcribed"),
    counter("retried", "Windows sent again after an error"),
    counter("resent", "Windows sent again after the connection to the engine was lost"),
)
SPEECH = Group(
    "host_stt_speech",
    gauge("channels_open", "Channels with a speech pipeline now"),
    counter("blocks", "Blocks of audio received by the speech pipelines"),
    counter("audio_ms", "Milliseconds of audio received by the speech pipelines"),
    gauge("queued_ms", "Milliseconds of audio waiting for speech detection"),
    counter("shed_ms", "Milliseconds of audio dropped because too much was waiting"),
    counter("interims_shed", "Interims not sent to the engine, or replaced by newer ones"),
    counter("finals_behind", "Finals left for later, because newer speech was decoded first"),
    counter("early_finals_sent", "Finals sent to the engine in a pause, before the end of the utterance"),
    counter("early_finals_used", "Early finals that became the final; after the others speech continued"),
    gauge("windows_in_flight", "Windows that have no result yet"),
)
RECORD = Group(
    "host_stt_record",
    gauge("is_degraded", "1 while the record cannot be written; text continues, marked as not durable"),
    gauge("events_waiting", "Events that are not on disk yet"),
    counter("events_saved", "Events written"),
    counter("events_given_up", "Events that are missing in the record"),
    counter("groups", "Transactions; each writes all events that are waiting"),
    counter("failures", "Transactions that failed"),
    gauge("commit_ms_max", "The longest transaction since the start, in milliseconds"),
    gauge("reads_waiting", "Reads of the record in progress or waiting"),
    counter("reads_refused", "Reads refused because too many were waiting"),
)
ARCHIVE = Group(
    "host_stt_archive",
    counter("packets", "Opus packets stored"),
    counter("bytes", "Bytes of audio written"),
    gauge("files_open", "Audio files open for writing"),
    gauge("held_bytes", "Bytes of audio in finished files"),
    counter("removed_bytes", "Bytes of audio removed by retention or because the disk was full"),
    counter("lost_ms", "Milliseconds of audio that could not be stored"),
    gauge("waiting_bytes", "Bytes of packets waiting to be written"),
    gauge("encoding_ms", "Milliseconds of audio waiting to be encoded"),
    gauge("sync_ms", "Milliseconds that the last sync of all open files took"),
    gauge("unsynced_ms_max", "The longest time that a packet was not safe from a power cut, in milliseconds"),
    gauge(
        "unwritten_ms_max",
        "The longest time that a packet was not safe from the end of the process, in milliseconds",
    ),
    gauge("is_degraded", "1 while audio cannot be stored"),
)
RECOVERY = Group(
    "host_stt_recovery",
    gauge("feeds_waiting", "Feeds that a crash interrupted and that wait for recovery"),
    counter("feeds_done", "Feeds recovered"),
    counter("feeds_failed", "Feeds that could not be recovered"),
    counter("audio_ms", "Milliseconds of audio transcribed by recovery"),
    counter("finals", "Finals written by recovery"),
)

GROUPS = (
    *(WATCHERS, ONE_PORT, REGISTRY, WHIP, SOCKETS, BACKFILL, RECEPTION, COVERAGE, CONNECTIONS, CALLERS),
    *(ENGINE, SPEECH, RECORD, ARCHIVE, RECOVERY),
)
METRICS: tuple[Metric, ...] = (EVENTS, LATENCY, LOOP_LAG, *(one for group in GROUPS for one in group.metrics))
