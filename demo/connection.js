/* One WebRTC connection to the server: sends one audio track, receives events on the data channel `transcript`.
 *
 * Owns GET /api/ice, POST /offer and DELETE /offer/{connection}; knows nothing of the microphone and the page. Emits
 * "event" (detail: the event), "weak" (responses to pings are late), "pong" (detail: what the server received) and
 * "lost" (once, if an open connection breaks; detail: the reason).
 */

import { ServerError, request } from "./api.js";
import { Heartbeat } from "./heartbeat.js";

const GATHERING_MS = 2000; // host candidates come at once; a broken network card must not delay the offer
const RESPONSE_MS = 10_000; // a response takes 0.1 s; on a broken path a request would wait for minutes
const CONNECT_MS = 12_000; // ICE on a good path takes 0.1 s; browsers themselves give up after about 15 s
const RECONNECT_MS = 6000; // the path worked before, so a new attempt is better than a long wait
const DISCONNECTED_MS = 5000; // after a short gap of a radio network, ICE connects again by itself
const DELETE_MS = 10_000; // the server transcribes the last window first

export class Connection extends EventTarget {
  id = "";
  session = "";
  channels = [];
  resume = null;
  isResumed = false; // true if the server gave the channels of the earlier connection again
  transport = "webrtc";
  #pc = null;
  #heartbeat = null;
  #data = null;
  #closing = false;
  #disconnectedTimer = 0;

  /** track: a live audio track; language: en, ko, auto; label, channel: name and id that are wanted, or ""; resume: the
   *  token of an earlier connection, or null. */
  constructor(track, { language = "auto", label = "", channel = "", resume = null, since = null } = {}) {
    super();
    this.track = track;
    this.options = { language, label, channel, resume, since };
  }

  /** aborted: an AbortSignal that gives up. Throws ServerError. */
  async open(aborted) {
    const signal = within(RESPONSE_MS, aborted);
    if (!("RTCPeerConnection" in globalThis)) throw new ServerError("noWebRtc");
    const pc = new RTCPeerConnection({ iceServers: await iceServers(signal) });
    this.#pc = pc;
    try {
      pc.addTransceiver(this.track, { direction: "sendonly" });
      this.#data = this.#openData(pc);
      await pc.setLocalDescription(await pc.createOffer());
      await gathered(pc);
      aborted?.throwIfAborted();
      const response = await request("POST", "offer", this.#offer(pc), { signal });
      ({ connection: this.id, session: this.session, channels: this.channels } = response);
      this.resume = response.resume ?? null;
      this.isResumed = response.resumed === true;
      await pc.setRemoteDescription({ type: "answer", sdp: response.sdp });
      await connected(pc, aborted, this.options.resume ? RECONNECT_MS : CONNECT_MS);
      pc.onconnectionstatechange = () => this.#watch();
      this.#data.onclose = () => this.#lose("data channel closed"); // the server ended it; ICE would notice 10 s later
      this.#watch();
      this.#heartbeat.start();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #offer(pc) {
    const { language, label, channel, resume } = this.options;
    const wanted = { mid: pc.getTransceivers()[0].mid, language };
    if (label) wanted.label = label;
    if (channel) wanted.channel = channel;
    const body = { sdp: pc.localDescription.sdp, type: "offer", channels: [wanted] };
    if (resume) body.resume = resume;
    return body;
  }

  #openData(pc) {
    const data = pc.createDataChannel("transcript", { ordered: true });
    this.#heartbeat = this.#makeHeartbeat(data);
    data.onopen = () => {
      // Only after a break: the first connection of a page must not show earlier text of others on this channel.
      if (this.options.since !== null) data.send(JSON.stringify({ type: "resume", since: this.options.since }));
    };
    data.onmessage = (message) => {
      let event;
      try {
        event = JSON.parse(message.data);
      } catch {
        return; // not of this server, which sends JSON only
      }
      if (this.#heartbeat.take(event)) return;
      this.dispatchEvent(new CustomEvent("event", { detail: event }));
    };
    return data;
  }

  #makeHeartbeat(data) {
    const heartbeat = new Heartbeat(data);
    heartbeat.addEventListener("pong", (e) => this.dispatchEvent(new CustomEvent("pong", { detail: e.detail })));
    heartbeat.addEventListener("weak", () => this.dispatchEvent(new Event("weak")));
    heartbeat.addEventListener("gone", () => this.#lose("no response"));
    return heartbeat;
  }

  #watch() {
    clearTimeout(this.#disconnectedTimer);
    const state = this.#pc.connectionState;
    if (state === "failed" || state === "closed") this.#lose(state);
    if (state !== "disconnected") return;
    this.#disconnectedTimer = setTimeout(() => this.#lose(state), DISCONNECTED_MS);
  }

  /** The browser has another network. If a response to a ping is late as well, the connection is lost. */
  networkChanged() {
    if (this.#heartbeat?.isLate) this.#lose("network changed");
  }

  #lose(reason) {
    if (this.#closing) return;
    this.abandon();
    this.dispatchEvent(new CustomEvent("lost", { detail: reason }));
  }

  async replaceTrack(track) {
    this.track = track;
    await this.#pc?.getSenders()[0]?.replaceTrack(track);
  }

  stats() {
    return this.#pc?.getStats() ?? Promise.resolve(new Map());
  }

  /** End the connection at the server, which transcribes the rest first. Resolves to final_seq, the number of the last
   *  event, or to null if the response has none. The data channel stays open for the last events. */
  async finish() {
    this.#closing = true;
    if (!this.id) return null;
    const signal = AbortSignal.timeout(DELETE_MS);
    const response = await request("DELETE", `offer/${encodeURIComponent(this.id)}`, undefined, { signal });
    return response.final_seq ?? null;
  }

  /** End the connection without a wait, because the page closes. */
  leave() {
    this.#closing = true;
    if (!this.id) return;
    request("DELETE", `offer/${encodeURIComponent(this.id)}`, undefined, { keepalive: true }).catch(() => {});
  }

  abandon() {
    this.#closing = true;
    clearTimeout(this.#disconnectedTimer);
    this.#heartbeat?.stop();
    this.#data?.close();
    this.#pc?.close();
  }
}

/** An AbortSignal that is aborted by `signal`, or after this time. */
export function within(ms, signal) {
  const timeout = AbortSignal.timeout(ms);
  return signal && AbortSignal.any ? AbortSignal.any([signal, timeout]) : (signal ?? timeout);
}

/** The STUN and TURN servers of the configuration; usually none. */
export async function iceServers(signal) {
  const response = await request("GET", "api/ice", undefined, { signal });
  return response.ice_servers.map(({ urls, username, credential }) =>
    username ? { urls, username, credential } : { urls },
  );
}

export function gathered(pc) {
  if (pc.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(done, GATHERING_MS);
    pc.onicegatheringstatechange = () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      done();
    };
  });
}

export function connected(pc, signal, withinMs) {
  return new Promise((done, fail) => {
    const end = (settle, value) => {
      clearTimeout(timer);
      pc.onconnectionstatechange = null;
      signal?.removeEventListener("abort", onAbort);
      settle(value);
    };
    const onAbort = () => end(fail, signal.reason);
    const iceFailed = (state) => new ServerError("iceFailed", { detail: `ICE: ${state}` });
    const timer = setTimeout(() => end(fail, iceFailed(pc.iceConnectionState)), withinMs);
    signal?.addEventListener("abort", onAbort);
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === "connected") end(done);
      if (pc.connectionState === "failed") end(fail, iceFailed("failed"));
    };
    pc.onconnectionstatechange();
  });
}
