/* The peer connection that brings live audio from the server: one audio line for each channel.
 *
 * Owns POST, PUT and DELETE of /api/listening and the reconnects; knows nothing of sound and page. Emits "state" (detail:
 * off, connecting, live, reconnecting), "track" (detail: {channel, track}) and "failed" (detail: the error; no more
 * attempts). The server sends only the channels of the newest `want`.
 */

import { ServerError, request } from "../api.js";
import { connected, gathered, iceServers, within } from "../connection.js";

const CONNECT_MS = 12_000; // ICE on a good path takes 0.1 s
const RESPONSE_MS = 10_000;
const AGAIN_MS = [500, 1000, 2000, 5000]; // between attempts; the last value repeats
const DISCONNECTED_MS = 5000; // after a short gap, ICE connects again by itself
const PERMANENT = new Set(["bad_token", "forbidden", "role_too_low", "noWebRtc"]);

export class LiveConnection extends EventTarget {
  state = "off";
  #pc = null;
  #listener = ""; // the server's id of this connection
  #session = "";
  #channels = [];
  #wanted = []; // channels whose audio the server must send
  #told = null; // the same, as the server knows it; null: it knows nothing
  #isTelling = false;
  #aborter = null;
  #timer = 0;

  /** Begin, or continue with another session or other channels. channels: ids that may be wanted. */
  start(session, channels) {
    this.stop();
    this.#session = session;
    this.#channels = channels;
    this.#aborter = new AbortController();
    this.#run(this.#aborter.signal, 0);
  }

  stop() {
    this.#aborter?.abort();
    this.#aborter = null;
    clearTimeout(this.#timer);
    this.#close();
    this.#setState("off");
  }

  /** The server sends these channels from now on, and no others. */
  want(channels) {
    this.#wanted = [...channels].sort();
    this.#tell();
  }

  stats() {
    return this.#pc?.getStats() ?? Promise.resolve(new Map());
  }

  /** The page closes. */
  leave() {
    this.#hangUp({ keepalive: true });
  }

  async #run(signal, attempt) {
    this.#setState(attempt ? "reconnecting" : "connecting");
    try {
      await this.#open(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#close();
      if (PERMANENT.has(error.code)) {
        this.stop();
        this.dispatchEvent(new CustomEvent("failed", { detail: error }));
        return;
      }
      const ms = error.retryAfterS ? error.retryAfterS * 1000 : AGAIN_MS[Math.min(attempt, AGAIN_MS.length - 1)];
      this.#setState("reconnecting");
      this.#timer = setTimeout(() => this.#run(signal, attempt + 1), ms);
      return;
    }
    this.#setState("live");
    this.#tell();
  }

  async #open(signal) {
    if (!("RTCPeerConnection" in globalThis)) throw new ServerError("noWebRtc");
    const soon = within(RESPONSE_MS, signal);
    const pc = new RTCPeerConnection({ iceServers: await iceServers(soon) });
    this.#pc = pc;
    for (const _ of this.#channels) pc.addTransceiver("audio", { direction: "recvonly" });
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc);
    signal.throwIfAborted();
    const listen = this.#wanted;
    const body = { sdp: pc.localDescription.sdp, type: "offer", session: this.#session, channels: this.#channels, listen };
    const answer = await request("POST", "api/listening", body, { signal: soon });
    this.#listener = answer.listener;
    this.#told = listen;
    await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    const channelOf = new Map(answer.lines.map((line) => [line.mid, line.channel]));
    await connected(pc, signal, CONNECT_MS);
    for (const { mid, receiver } of pc.getTransceivers()) this.#emit("track", { channel: channelOf.get(mid), track: receiver.track });
    pc.onconnectionstatechange = () => this.#watch(pc, signal);
    this.#watch(pc, signal);
  }

  #watch(pc, signal) {
    clearTimeout(this.#timer);
    if (pc !== this.#pc || signal.aborted) return;
    const again = () => {
      this.#close();
      this.#run(signal, 1);
    };
    if (pc.connectionState === "failed" || pc.connectionState === "closed") again();
    if (pc.connectionState === "disconnected") this.#timer = setTimeout(again, DISCONNECTED_MS);
  }

  /** One request at a time; the newest wish is sent when the request before has its response. */
  async #tell() {
    const isKnown = () => JSON.stringify(this.#told) === JSON.stringify(this.#wanted);
    if (this.#isTelling || !this.#listener) return;
    this.#isTelling = true;
    while (this.#listener && !isKnown()) {
      const [listener, channels] = [this.#listener, this.#wanted];
      try {
        await request("PUT", `api/listening/${listener}`, { channels }, { signal: AbortSignal.timeout(RESPONSE_MS) });
        if (listener === this.#listener) this.#told = channels;
      } catch (error) {
        if (listener === this.#listener) this.#lose(error);
      }
    }
    this.#isTelling = false;
  }

  /** The server does not know this connection any more, or cannot be reached. */
  #lose(error) {
    const signal = this.#aborter?.signal;
    this.#close();
    if (signal && !signal.aborted) this.#run(signal, error.status === 404 ? 1 : 2);
  }

  #close() {
    this.#hangUp();
    if (this.#pc) this.#pc.onconnectionstatechange = null;
    this.#pc?.close();
    this.#pc = null;
  }

  #hangUp(options = {}) {
    const listener = this.#listener;
    this.#listener = "";
    this.#told = null;
    if (listener) request("DELETE", `api/listening/${listener}`, undefined, options).catch(() => {}); // it may have ended
  }

  #setState(name) {
    if (this.state === name) return;
    this.state = name;
    this.#emit("state", name);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
