/* An input of the machine as sources for links: one source, or the two sides of a stereo input apart.
 *
 * A source is the same as in ../capture.js: {track, node, analyser, label, stop()}. Nothing is processed: no echo
 * cancellation, no noise suppression, no automatic gain.
 */

import { analyserOf, audioContext, openMicrophone, openStream } from "../capture.js";

/** {label, deviceId, isMono, sources, onEnded(listener), stop()}. isMono: it was to be split and has one side only.
 *  deviceId: "" for the system's default. Throws CaptureError. */
export async function openDevice({ deviceId, isSplit }) {
  if (!isSplit) {
    const source = await openMicrophone({ deviceId });
    return device(source.track, [source], false, () => {});
  }
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: { ideal: 2 } };
  if (deviceId) audio.deviceId = { exact: deviceId };
  const stream = await openStream(audio);
  const [track] = stream.getAudioTracks();
  const context = await audioContext();
  const input = context.createMediaStreamSource(stream);
  const splitter = context.createChannelSplitter(2);
  input.connect(splitter);
  const sources = [0, 1].map((side) => sideOf(context, splitter, side, track.label));
  const isMono = track.getSettings().channelCount === 1;
  return device(track, sources, isMono, () => input.disconnect());
}

function device(track, sources, isMono, disconnect) {
  const stop = () => {
    track.stop();
    for (const source of sources) source.stop();
    disconnect();
  };
  const onEnded = (listener) => track.addEventListener("ended", listener, { once: true });
  return { label: track.label, deviceId: track.getSettings().deviceId ?? "", isMono, sources, onEnded, stop };
}

function sideOf(context, splitter, side, label) {
  const node = new GainNode(context, { channelCount: 1, channelCountMode: "explicit" });
  splitter.connect(node, side);
  const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1, channelCountMode: "explicit" });
  node.connect(out);
  const [track] = out.stream.getAudioTracks();
  const stop = () => {
    track.stop();
    node.disconnect();
  };
  return { kind: "input", track, node, analyser: analyserOf(context, node), label, stop };
}

/** The device of a card among those that are there: by its id, else by its name. Null: it is not plugged in.
 *  devices: of microphones(); taken: ids that other cards use. The id "" is the system's default. */
export function findDevice(devices, { deviceId, label }, taken = new Set()) {
  if (!deviceId) return { deviceId: "" };
  const free = devices.filter((one) => !taken.has(one.deviceId));
  return free.find((one) => one.deviceId === deviceId) ?? free.find((one) => label && one.label === label) ?? null;
}
