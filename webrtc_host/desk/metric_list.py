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
ALERT_LATENCY = histogram(
    "host_stt_alert_latency_seconds",
    "From the end of a spoken word to the alert about it",
    buckets=(0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
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
    gauge("connections_assemblyai", "Clients of AssemblyAI's protocol now"),
    gauge("connections_conversation", "Streams of the conversation API now"),
    gauge("connections_deepgram", "Clients of Deepgram's protocols now"),
    gauge("connections_openai", "Clients of OpenAI's Realtime protocol now"),
    gauge("connections_pipecat", "Clients of pipecat's SmallWebRTC now"),
    gauge("connections_speechmatics", "Clients of Speechmatics' protocol now"),
    gauge("connections_telephone", "Telephone calls of Twilio and Telnyx now"),
    gauge("connections_vosk", "Clients of the Vosk server's protocol now"),
    gauge("connections_whisperlive", "Clients of WhisperLive's protocol now"),
    gauge("connections_wyoming", "Clients of the Wyoming protocol that send audio now"),
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
WIRES = Group(
    "host_stt_wires",
    counter("frames", "Audio frames received in the protocols of other services"),
    counter("bytes", "Bytes of these audio frames"),
    counter("audio_ms", "Milliseconds of audio decoded from them"),
    counter("slowed", "Times that the server read more slowly because a client was faster than real time"),
    counter("refused", "Connections in these protocols refused, or closed with an error"),
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
LISTENING = Group(
    "host_stt_listening",
    gauge("desks", "Desks that listen to live audio now"),
    gauge("channels", "Channels that at least one desk listens to now"),
    gauge("lines", "Channels that desks listen to now, counted for each desk"),
    counter("packets", "Opus packets sent to desks"),
    counter("bytes", "Bytes of the Opus packets sent to desks"),
    counter("dropped", "Packets not sent because a desk was too slow or was not connected"),
    counter("encoded_ms", "Milliseconds of audio without Opus packets that were encoded for desks"),
    counter("not_encoded_ms", "Milliseconds of such audio dropped because the encoder was too far behind"),
)
CALLS = Group(
    "host_stt_calls",
    counter("taken", "Recorded calls of radio systems that were taken"),
    counter("duplicates", "Recorded calls that their channel had already"),
    counter("refused", "Uploads of calls that were answered with an error or ignored"),
    counter("audio_ms", "Milliseconds of audio of the calls that were taken"),
    gauge("in_hand", "Forms with calls that are being received now"),
    counter("read", "Recorded calls that were transcribed"),
    counter("failed", "Recorded calls that could not be transcribed"),
    counter("finals", "Finals written from recorded calls"),
    gauge("waiting_ms", "Milliseconds of audio of calls that are not transcribed yet"),
)
SIMPLESTREAM = Group(
    "host_stt_simplestream",
    counter("datagrams", "Datagrams of simplestream received"),
    counter("malformed", "Datagrams of simplestream that could not be read"),
    counter("refused", "Datagrams of simplestream from addresses that may not send"),
    counter("unknown", "Datagrams of simplestream for which there was no channel"),
    counter("dropped", "Datagrams of simplestream dropped because too many were waiting"),
    counter("calls", "Calls that began to be heard over simplestream"),
    gauge("streams", "Calls that are heard over simplestream now"),
)
WYOMING = Group(
    "host_stt_wyoming",
    counter("connections", "Connections to the port of the Wyoming protocol"),
    counter("refused", "Connections to the port of the Wyoming protocol that were refused"),
    counter("rounds", "Transcripts given over the Wyoming protocol"),
    gauge("open", "Connections to the port of the Wyoming protocol now"),
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
    gauge("redacted_ms", "Milliseconds of which a person removed the text or the audio"),
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
JOBS = Group(
    "host_stt_jobs",
    gauge("running", "Recordings being transcribed by jobs now"),
    counter("started", "Leases of jobs begun; a job that goes on after a restart counts again"),
    counter("completed", "Jobs completed"),
    counter("failed", "Jobs failed"),
)

SUMMARIES = Group(
    "host_stt_summaries",
    gauge("waiting", "Summaries that wait or are being made now"),
    counter("made", "Summaries made"),
    counter("unchanged", "Summaries not made again because their lines did not change"),
    counter("failed", "Attempts to make a summary that failed"),
    counter("sentences_dropped", "Sentences left out because they cite no line that was read"),
)

ALERTS = Group(
    "host_stt_alerts",
    gauge("rules", "Alert rules"),
    gauge("open", "Alerts that no operator has acknowledged"),
    counter("raised", "Alerts raised, also those that were withdrawn"),
    counter("suppressed", "Alerts not raised because of a cooldown, quiet hours or the limit per minute"),
    gauge("waiting", "Events waiting for the alert rules"),
    counter("dropped", "Events dropped because too many were waiting for the alert rules"),
    counter("failures", "Errors of this server in the alert rules"),
)
WEBHOOKS = Group(
    "host_stt_webhooks",
    counter("delivered", "Deliveries that a receiver accepted"),
    counter("failed_attempts", "Attempts to deliver that failed"),
    gauge("sending", "Attempts in progress"),
    gauge("waiting", "Deliveries in the outbox"),
)

REVIEW = Group(
    "host_stt_review",
    gauge("waiting", "Groups of lines that wait for their review"),
    counter("groups", "Groups decoded by the review"),
    counter("audio_ms", "Milliseconds of audio decoded by the review"),
    counter("lines", "Lines decoded by the review"),
    counter("revised", "Lines that the review gave another text"),
    counter("skipped", "Groups that keep their live text: no audio, a text not trusted, or too many waiting"),
)

GROUPS = (
    *(WATCHERS, ONE_PORT, REGISTRY, WHIP, SOCKETS, WIRES, BACKFILL, CALLS, SIMPLESTREAM, WYOMING, RECEPTION),
    *(COVERAGE, CONNECTIONS, LISTENING, CALLERS, ENGINE, SPEECH, RECORD, ARCHIVE, RECOVERY),
    *(REVIEW, JOBS, SUMMARIES, ALERTS, WEBHOOKS),
)
METRICS: tuple[Metric, ...] = (
    EVENTS,
    LATENCY,
    ALERT_LATENCY,
    LOOP_LAG,
    *(one for group in GROUPS for one in group.metrics),
)
