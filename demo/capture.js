/* Where the sound comes from: a microphone, or a bundled test clip. Both end in the same Source.
 *
 * Owns the audio context, the device list and the meaning of the browser's errors. A Source has `track` (goes into the
 * peer connection as it is: no processing in the page), `node` (for the recorder), `analyser` (for the level meter),
 * `label` and `stop()`.
 */

export class CaptureError extends Error {
  /** code: a key of the error texts: insecure, blocked, inUse, noDevice, clip, unknown. */
  constructor(code, detail = "") {
    super(detail || code);
    this.name = "CaptureError";
    this.code = code;
    this.detail = detail;
  }
}

// getUserMedia's names, from the Media Capture specification; the last two are older spellings.
const CODES = {
  NotAllowedError: "blocked",
  SecurityError: "blocked",
  NotReadableError: "inUse",
  AbortError: "inUse",
  NotFoundError: "noDevice",
  OverconstrainedError: "noDevice",
  TrackStartError: "inUse",
  DevicesNotFoundError: "noDevice",
};

const WAKE_MS = 1500;

let context = null;

/** One audio context for the page; must first be asked for inside a click, or the browser keeps it suspended. */
export async function audioContext() {
  context ??= new AudioContext();
  // Without a click (a reloaded page that goes on) a strict browser lets it wait: then the next click wakes it.
  addEventListener("pointerdown", () => context.resume(), { once: true });
  if (context.state === "suspended") await Promise.race([context.resume(), new Promise((done) => setTimeout(done, WAKE_MS))]);
  return context;
}

export function isSecure() {
  return globalThis.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

export async function openMicrophone({ deviceId = "", echo = false, noise = false, gain = false } = {}) {
  if (!isSecure()) throw new CaptureError("insecure");
  const audio = {
    echoCancellation: echo,
    noiseSuppression: noise,
    autoGainControl: gain,
    channelCount: { ideal: 1 },
  };
  if (deviceId) audio.deviceId = { exact: deviceId };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new CaptureError(CODES[error.name] ?? "unknown", `${error.name}: ${error.message}`);
  }
  const track = stream.getAudioTracks()[0];
  const ctx = await audioContext();
  const node = ctx.createMediaStreamSource(stream);
  const analyser = listenTo(ctx, node);
  const stop = () => {
    track.stop();
    node.disconnect();
  };
  return { kind: "microphone", track, node, analyser, label: track.label, deviceId: track.getSettings().deviceId, stop };
}

function listenTo(ctx, node) {
  const analyser = ctx.createAnalyser();
  analyser.fftSize = 2048; // 43 ms at 48 kHz: longer than a picture lasts, so no peak is missed
  node.connect(analyser);
  return analyser;
}

/** The microphones, named only after permission. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

export async function listClips() {
  const answer = await fetch(new URL("clips/clips.json", import.meta.url));
  if (!answer.ok) throw new CaptureError("clip", `clips.json: HTTP ${answer.status}`);
  return answer.json();
}

/** A clip as if it were a microphone. `play()` resolves when its last sample was sent; silence follows until stop(). */
export async function openClip(clip) {
  const ctx = await audioContext();
  let buffer;
  try {
    const answer = await fetch(new URL(`clips/${clip.file}`, import.meta.url));
    if (!answer.ok) throw new Error(`${clip.file}: HTTP ${answer.status}`);
    buffer = await ctx.decodeAudioData(await answer.arrayBuffer());
  } catch (error) {
    throw new CaptureError("clip", error.message);
  }
  const out = ctx.createMediaStreamDestination();
  out.channelCount = 1;
  const player = ctx.createBufferSource();
  player.buffer = buffer;
  player.connect(out);
  const analyser = listenTo(ctx, player);
  const track = out.stream.getAudioTracks()[0];
  return {
    kind: "clip",
    track,
    node: player,
    analyser,
    label: clip.file,
    play: () => new Promise((done) => ((player.onended = done), player.start())),
    stop: () => {
      player.onended = null;
      player.disconnect();
      track.stop();
    },
  };
}
