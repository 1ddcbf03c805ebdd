/* The texts of the usual figures in English. strings-ko.js has the same keys. */

export default {
  "us.panel": "The last five minutes against the last 24 hours",
  "us.words": "Words",
  "us.delay_ms": "Delay",
  "us.confidence": "Confidence",
  "us.level_db": "Level",
  "us.short.words": "words",
  "us.short.delay_ms": "delay",
  "us.short.confidence": "conf.",
  "us.short.level_db": "level",
  "us.value.words": "{n}/min",
  "us.value.delay_ms": "{n} s",
  "us.value.confidence": "{n} %",
  "us.value.level_db": "{n} dB",
  "us.band": "usually {low} to {high}",
  "us.learningShort": "less than an hour known",
  "us.learning": "{name}: {now}. What is usual is known after an hour of audio.",
  "us.noNow": "{name}: too little audio in the last five minutes.",
  "us.is.usual": "{name}: {now}, as usual ({low} to {high} in the last 24 hours).",
  "us.is.low": "{name}: {now}, lower than usual ({low} to {high} in the last 24 hours).",
  "us.is.high": "{name}: {now}, higher than usual ({low} to {high} in the last 24 hours).",
};
