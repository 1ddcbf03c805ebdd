/* Sources of audio: a microphone or a bundled test clip.
 *
 * Owns the audio context, the device list and the codes of the browser's errors. A source has `kind`, `track` (sent by
 * WebRTC without any processing in the page), `node` (for the recorder), `analyser` (for the level meter), `label` and
 * `stop()`; a clip also has `play()`.
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

// Error names of getUserMedia in the Media Capture specification; the last two are older names.
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

const RESUME_MS = 1500; // a browser without a click does not resume the context, and never says so

let context = null;

/** The audio context of the page. The first call must be inside a click, or the browser keeps the context suspended. */
export async function audioContext() {
  context ??= new AudioContext();
  // After a reload there is no click. A strict browser then keeps the context suspended until the next click.
  addEventListener("pointerdown", () => context.resume(), { once: true });
  if (context.state !== "suspended") return context;
  await Promise.race([context.resume(), new Promise((done) => setTimeout(done, RESUME_MS))]);
  return context;
}

export function isSecure() {
  return globalThis.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

/** The microphone as a source. Throws CaptureError. */
export async function openMicrophone({ deviceId = "", echo = false, noise = false, gain = false } = {}) {
  const audio = {
    echoCancellation: echo,
    noiseSuppression: noise,
    autoGainControl: gain,
    channelCount: { ideal: 1 },
  };
  if (deviceId) audio.deviceId = { exact: deviceId };
  const stream = await openStream(audio);
  const track = stream.getAudioTracks()[0];
  const ctx = await audioContext();
  const node = ctx.createMediaStreamSource(stream);
  const analyser = analyserOf(ctx, node);
  const stop = () => {
    track.stop();
    node.disconnect();
  };
  return { kind: "microphone", track, node, analyser, label: track.label, stop };
}

/** A stream with these constraints of its audio. Throws CaptureError. */
export async function openStream(audio) {
  if (!isSecure()) throw new CaptureError("insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new CaptureError(CODES[error.name] ?? "unknown", `${error.name}: ${error.message}`);
  }
}

export function analyserOf(ctx, node) {
  const analyser = ctx.createAnalyser();
  analyser.fftSize = 2048; // 43 ms at 48 kHz: longer than a frame of the screen, so no peak is missed
  node.connect(analyser);
  return analyser;
}

/** The microphones. Browsers give their names only after the permission. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId !== "");
}

/** The bundled clips: [{language, file, text}]. Throws CaptureError. */
export async function listClips() {
  const response = await fetch(new URL("clips/clips.json", import.meta.url));
  if (!response.ok) throw new CaptureError("clip", `clips.json: HTTP ${response.status}`);
  return response.json();
}

/** A clip as a source. play() resolves at the end of the clip; then the source is silent until stop(). */
export async function openClip(clip) {
  const ctx = await audioContext();
  let buffer;
  try {
    const response = await fetch(new URL(`clips/${clip.file}`, import.meta.url));
    if (!response.ok) throw new Error(`${clip.file}: HTTP ${response.status}`);
    buffer = await ctx.decodeAudioData(await response.arrayBuffer());
  } catch (error) {
    throw new CaptureError("clip", error.message);
  }
  const out = ctx.createMediaStreamDestination();
  out.channelCount = 1;
  const player = ctx.createBufferSource();
  player.buffer = buffer;
  player.connect(out);
  const analyser = analyserOf(ctx, player);
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
