/* Runs in the audio thread: resamples the microphone to 16 kHz and posts 16-bit samples in pieces of 100 ms.
 *
 * Owns the filter, a windowed sinc. The filter is centred, so it moves no sample in time. Without a source the input is
 * zeros, so the number of samples is a clock, also while the source is replaced.
 */

const RATE = 16_000;
const PIECE = RATE / 10;
const CUTOFF_HZ = 7400; // speech needs no more, and frequencies above 8 kHz would alias
const HALF_WIDTH = 16; // taps to each side, in samples of the output
const PHASES = 32; // positions between two input samples: 48 kHz needs only one, 44.1 kHz needs many

class Recorder extends AudioWorkletProcessor {
  #ratio = sampleRate / RATE;
  #half = Math.ceil(HALF_WIDTH * Math.max(1, sampleRate / RATE));
  #kernels = [];
  #input = new Float32Array(0); // samples that the filter still needs
  #inputStart = null; // frame of #input[0]
  #made = 0; // output samples since #first
  #first = 0; // frame of the first output sample
  #piece = new Int16Array(PIECE);
  #filled = 0;

  constructor() {
    super();
    for (let phase = 0; phase < PHASES; phase += 1) this.#kernels.push(this.#kernel(phase / PHASES));
  }

  #kernel(fraction) {
    const cutoff = Math.min(CUTOFF_HZ / sampleRate, 0.46);
    const taps = new Float32Array(2 * this.#half + 1);
    let sum = 0;
    for (let k = 0; k < taps.length; k += 1) {
      const x = k - this.#half - fraction;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (this.#half + 1));
      taps[k] = (x === 0 ? 2 * cutoff : Math.sin(2 * Math.PI * cutoff * x) / (Math.PI * x)) * window;
      sum += taps[k];
    }
    return taps.map((tap) => tap / sum);
  }

  process(inputs) {
    const frames = mono(inputs[0]);
    if (this.#inputStart === null) {
      this.#inputStart = this.#first = currentFrame;
      this.#input = new Float32Array(this.#half); // silence before the first sample
      this.#inputStart -= this.#half;
    }
    const joined = new Float32Array(this.#input.length + frames.length);
    joined.set(this.#input);
    joined.set(frames, this.#input.length);
    this.#input = joined;
    this.#resample();
    return true;
  }

  #resample() {
    for (;;) {
      const at = this.#first + this.#made * this.#ratio - this.#inputStart; // position in #input
      const phase = Math.round((at - Math.floor(at)) * PHASES);
      const centre = Math.floor(at) + (phase === PHASES ? 1 : 0);
      if (centre + this.#half >= this.#input.length) break;
      const taps = this.#kernels[phase % PHASES];
      let sum = 0;
      for (let k = 0; k < taps.length; k += 1) sum += taps[k] * this.#input[centre - this.#half + k];
      this.#put(sum);
    }
    const keepFrom = Math.floor(this.#first + this.#made * this.#ratio - this.#inputStart) - this.#half;
    if (keepFrom <= 0) return;
    this.#input = this.#input.slice(keepFrom);
    this.#inputStart += keepFrom;
  }

  #put(value) {
    this.#piece[this.#filled] = Math.max(-1, Math.min(1, value)) * 32767;
    this.#filled += 1;
    this.#made += 1;
    if (this.#filled < PIECE) return;
    const endS = (this.#first + this.#made * this.#ratio) / sampleRate; // on the audio context's clock
    this.port.postMessage({ samples: this.#piece, endS }, [this.#piece.buffer]);
    this.#piece = new Int16Array(PIECE);
    this.#filled = 0;
  }
}

function mono(channels) {
  if (!channels || channels.length === 0) return new Float32Array(128);
  if (channels.length === 1) return channels[0];
  return channels[0].map((value, i) => (value + channels[1][i]) / 2);
}

registerProcessor("recorder", Recorder);
