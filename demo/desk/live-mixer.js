/* Mixes the live channels in the browser: per channel a delay, a volume and a place between left and right.
 *
 * The sum plays through a media element, which a press of the user has unlocked, so it goes on in a hidden tab. No timer
 * has a part in the sound. Chromium delivers the audio of a remote track only while a media element has the track too;
 * `#pump` is that element, muted.
 */

const SMOOTH_S = 0.015; // a volume that jumps makes a click
const DELAY_S_MAX = 1;
const COMPENSATION = 0.65; // a DynamicsCompressorNode makes everything louder by 0.6 of what it can take away

export class LiveMixer {
  #context = null;
  #master = null;
  #pump = null;
  #strips = new Map(); // channel -> {source, delay, gain, pan, track}
  #levels = new Map(); // channel -> {gain, pan}
  #volume = 1;
  #delayS = 0;

  /** audio: the media element that plays the sum. */
  constructor(audio) {
    this.audio = audio;
  }

  /** Call it from a press of the user, or the browser plays nothing. */
  unlock() {
    if (!this.#context) this.#build();
    this.#context.resume();
    this.audio.play().catch(() => {}); // the state of the element shows it
  }

  #build() {
    const context = new AudioContext({ latencyHint: "interactive" });
    // Sixteen voices at once would be clipped; a compressor keeps the sum below full scale.
    const compressor = new DynamicsCompressorNode(context, { threshold: -8, knee: 8, ratio: 12, attack: 0.003, release: 0.2 });
    const level = new GainNode(context, { gain: COMPENSATION });
    this.#master = new GainNode(context, { gain: this.#volume });
    const out = new MediaStreamAudioDestinationNode(context);
    this.#master.connect(compressor).connect(level).connect(out);
    this.audio.srcObject = out.stream;
    // Made only now: an element with an empty stream would keep the page from ending its load.
    this.#pump = Object.assign(new Audio(), { muted: true, srcObject: new MediaStream() });
    this.#context = context;
  }

  setTrack(channel, track) {
    this.#remove(channel);
    const context = this.#context;
    this.#pump.srcObject.addTrack(track);
    this.#pump.play().catch(() => {});
    const { gain, pan } = this.#levels.get(channel) ?? { gain: 0, pan: 0 };
    const strip = {
      track,
      source: new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) }),
      delay: new DelayNode(context, { delayTime: this.#delayS, maxDelayTime: DELAY_S_MAX }),
      gain: new GainNode(context, { gain }),
      pan: new StereoPannerNode(context, { pan }),
    };
    strip.source.connect(strip.delay).connect(strip.gain).connect(strip.pan).connect(this.#master);
    this.#strips.set(channel, strip);
  }

  /** gain: 0 is silence; pan: -1 left to 1 right. */
  set(channel, gain, pan) {
    const known = this.#levels.get(channel);
    if (known?.gain === gain && known.pan === pan) return;
    this.#levels.set(channel, { gain, pan });
    const strip = this.#strips.get(channel);
    if (!strip) return;
    glide(strip.gain.gain, gain, this.#context);
    glide(strip.pan.pan, pan, this.#context);
  }

  set volume(value) {
    if (value === this.#volume) return;
    this.#volume = value;
    if (this.#master) glide(this.#master.gain, value, this.#context);
  }

  /** Delay all channels, so that the beginning of a call is heard that is switched on when its speech was noticed. */
  set delayS(value) {
    if (value === this.#delayS) return;
    this.#delayS = value;
    for (const { delay } of this.#strips.values()) delay.delayTime.value = value;
  }

  /** The connection ended; volumes stay. */
  clear() {
    for (const channel of [...this.#strips.keys()]) this.#remove(channel);
  }

  stop() {
    this.clear();
    this.audio.pause();
    this.#context?.suspend();
  }

  #remove(channel) {
    const strip = this.#strips.get(channel);
    if (!strip) return;
    for (const node of [strip.source, strip.delay, strip.gain, strip.pan]) node.disconnect();
    this.#pump.srcObject.removeTrack(strip.track);
    this.#strips.delete(channel);
  }
}

function glide(parameter, value, context) {
  parameter.setTargetAtTime(value, context.currentTime, SMOOTH_S);
}
