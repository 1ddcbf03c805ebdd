// Put into a page before its own scripts: notes when the fake microphone is heard, by the page's own wall clock.
// The clock is the count of captured samples; its anchor is the earliest moment any block arrived, so a busy main
// thread moves nothing.
window.heard = { anchorMs: Infinity, onsets: [], ends: [] };
const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => {
  const stream = await real(wish);
  const context = new AudioContext();
  const tap = context.createScriptProcessor(256, 1, 1);
  let samples = 0;
  let loudAt = -Infinity;
  tap.onaudioprocess = (event) => {
    const block = event.inputBuffer.getChannelData(0);
    samples += block.length;
    const now = performance.timeOrigin + performance.now();
    window.heard.anchorMs = Math.min(window.heard.anchorMs, now - (samples * 1000) / context.sampleRate);
    const at = (samples * 1000) / context.sampleRate;
    const isLoud = block.some((value) => Math.abs(value) > 0.02);
    if (isLoud && at - loudAt > 1200) window.heard.onsets.push(at - block.length / context.sampleRate * 1000);
    if (isLoud) {
      loudAt = at;
      window.heard.ends[window.heard.onsets.length - 1] = at;
    }
  };
  context.createMediaStreamSource(stream).connect(tap);
  tap.connect(context.destination);
  return stream;
};
