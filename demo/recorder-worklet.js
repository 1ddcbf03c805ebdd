/* Runs in the audio thread: the microphone at 16 kHz, as 16-bit samples, in pieces of 100 ms.
 *
 * Owns the filter: a windowed sinc, the same for every rate of the sound card, centred, so that no sample moves in
 * time. A source that is exchanged leaves zeros, never a hole: the count of samples is the clock.
 */

const RATE = 16_000;
const PIECE = RATE / 10;
const CUTOFF_HZ = 7400; // speech ends below; what lies over 8 kHz would fold back
const HALF_WIDTH = 16; // taps to each side, in samples of the output
const PHASES = 32; // places between two samples of the input; 48 kHz needs one, 44.1 kHz these

class Recorder extends AudioWorkletProcessor {
  #ratio = sampleRate / RATE;
  #half = Math.ceil(HALF_WIDTH * Math.max(1, sampleRate / RATE));
  #kernels = [];
  #input = new Float32Array(0); // not yet used up
  #inputStart = null; // frame of #input[0]
  #made = 0; // samples made since #first
  #first = 0; // frame of the first sample
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
    this.#make();
    return true;
  }

  #make() {
    for (;;) {
      const at = this.#first + this.#made * this.#ratio - this.#inputStart; // place in #input
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
