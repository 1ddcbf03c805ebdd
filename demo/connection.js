/* One peer connection to the server: one audio track out, the data channel `transcript` back.
 *
 * Owns GET /api/ice, POST /offer and DELETE /offer/{connection}, never the sound and never the page. Emits "event"
 * (detail: the wire's JSON), "weak" (answers are late), "pong" (detail: what the server has) and "lost" (once, when the
 * connection broke after it stood; detail: the reason).
 */

import { ServerError, request } from "./api.js";
import { Pulse } from "./pulse.js";

const GATHERING_MS = 2000; // host candidates come at once; a dead network card must not hold us up
const ANSWER_MS = 10_000; // an offer is answered in 0.1 s; a request into a path that died hangs for minutes
const CONNECT_MS = 12_000; // ICE on a good path takes 0.1 s; browsers themselves give up after about 15 s
const CONNECT_AGAIN_MS = 6000; // it went before; a path that died again is better tried anew
const SHAKY_MS = 5000; // "disconnected" heals by itself on a short radio hole
const DELETE_MS = 10_000; // the server flushes its last window first

export class Connection extends EventTarget {
  id = "";
  session = "";
  channels = [];
  resume = null;
  isResumed = false; // the channels of before are ours again
  transport = "webrtc";
  #pc = null;
  #pulse = null;
  #data = null;
  #closing = false;
  #shaky = 0;

  /** track: a live audio track; language: en, ko, auto; resume: the token of an earlier connection, or null. */
  constructor(track, { language = "auto", resume = null, since = null } = {}) {
    super();
    this.track = track;
    this.options = { language, resume, since };
  }

  async open(aborted) {
    const signal = within(ANSWER_MS, aborted);
    if (!("RTCPeerConnection" in globalThis)) throw new ServerError("noWebRtc");
    const pc = new RTCPeerConnection({ iceServers: await iceServers(signal) });
    this.#pc = pc;
    try {
      pc.addTransceiver(this.track, { direction: "sendonly" });
      this.#data = this.#openData(pc);
      await pc.setLocalDescription(await pc.createOffer());
      await gathered(pc);
      aborted?.throwIfAborted();
      const answer = await request("POST", "offer", this.#offer(pc), { signal });
      ({ connection: this.id, session: this.session, channels: this.channels } = answer);
      this.resume = answer.resume ?? null;
      this.isResumed = answer.resumed === true;
      await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      await connected(pc, aborted, this.options.resume ? CONNECT_AGAIN_MS : CONNECT_MS);
      pc.onconnectionstatechange = () => this.#watch();
      this.#data.onclose = () => this.#lose("data channel closed"); // an orderly end; ICE would notice 10 s later
      this.#watch();
      this.#pulse.start();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #offer(pc) {
    const { language, resume } = this.options;
    const channel = { mid: pc.getTransceivers()[0].mid, language };
    const body = { sdp: pc.localDescription.sdp, type: "offer", channels: [channel] };
    if (resume) body.resume = resume;
    return body;
  }

  #openData(pc) {
    const data = pc.createDataChannel("transcript", { ordered: true });
    this.#pulse = this.#watchPulse(data);
    data.onopen = () => {
      // Only after a break: the first connection of a page shall not show what others said on this channel before.
      if (this.options.since !== null) data.send(JSON.stringify({ type: "resume", since: this.options.since }));
    };
    data.onmessage = (message) => {
      let event;
      try {
        event = JSON.parse(message.data);
      } catch {
        return; // not ours; the server speaks JSON only
      }
      if (this.#pulse.take(event)) return;
      this.dispatchEvent(new CustomEvent("event", { detail: event }));
    };
    return data;
  }

  #watchPulse(data) {
    const pulse = new Pulse(data);
    pulse.addEventListener("pong", (e) => this.dispatchEvent(new CustomEvent("pong", { detail: e.detail })));
    pulse.addEventListener("weak", () => this.dispatchEvent(new Event("weak")));
    pulse.addEventListener("gone", () => this.#lose("no answer"));
    return pulse;
  }

  #watch() {
    clearTimeout(this.#shaky);
    const state = this.#pc.connectionState;
    if (state === "failed" || state === "closed") this.#lose(state);
    if (state === "disconnected") this.#shaky = setTimeout(() => this.#lose(state), SHAKY_MS);
  }

  /** The network is another one, or was away: if nothing was heard since, this connection is dead. */
  doubt() {
    if (this.#pulse?.isLate) this.#lose("network changed");
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

  /** Ask the server to flush and close. Returns its final_seq, or null when it did not say. The data channel stays. */
  async finish() {
    this.#closing = true;
    if (!this.id) return null;
    const signal = AbortSignal.timeout(DELETE_MS);
    const answer = await request("DELETE", `offer/${encodeURIComponent(this.id)}`, undefined, { signal });
    return answer.final_seq ?? null;
  }

  /** Leave at once: the page is going away. */
  leave() {
    this.#closing = true;
    if (this.id) request("DELETE", `offer/${encodeURIComponent(this.id)}`, undefined, { keepalive: true }).catch(() => {});
  }

  abandon() {
    this.#closing = true;
    clearTimeout(this.#shaky);
    this.#pulse?.stop();
    this.#data?.close();
    this.#pc?.close();
  }
}

/** Aborted by `signal`, or when the time is over. */
function within(ms, signal) {
  const timeout = AbortSignal.timeout(ms);
  return signal && AbortSignal.any ? AbortSignal.any([signal, timeout]) : (signal ?? timeout);
}

/** STUN and TURN servers as the operator configured them; usually none. */
async function iceServers(signal) {
  const answer = await request("GET", "api/ice", undefined, { signal });
  return answer.ice_servers.map(({ urls, username, credential }) =>
    username ? { urls, username, credential } : { urls },
  );
}

function gathered(pc) {
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

function connected(pc, signal, withinMs) {
  return new Promise((done, fail) => {
    const end = (settle, value) => {
      clearTimeout(timer);
      pc.onconnectionstatechange = null;
      signal?.removeEventListener("abort", onAbort);
      settle(value);
    };
    const onAbort = () => end(fail, signal.reason);
    const timer = setTimeout(() => end(fail, new ServerError("iceFailed", { detail: `ICE: ${pc.iceConnectionState}` })), withinMs);
    signal?.addEventListener("abort", onAbort);
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === "connected") end(done);
      if (pc.connectionState === "failed") end(fail, new ServerError("iceFailed", { detail: "ICE: failed" }));
    };
    pc.onconnectionstatechange();
  });
}
