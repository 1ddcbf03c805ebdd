/* The texts of the usual figures in Korean. strings-en.js has the same keys. */

export default {
  "us.panel": "최근 5분과 지난 24시간의 비교",
  "us.words": "단어",
  "us.delay_ms": "지연",
  "us.confidence": "신뢰도",
  "us.level_db": "음량",
  "us.short.words": "단어",
  "us.short.delay_ms": "지연",
  "us.short.confidence": "신뢰",
  "us.short.level_db": "음량",
  "us.value.words": "분당 {n}",
  "us.value.delay_ms": "{n}초",
  "us.value.confidence": "{n}%",
  "us.value.level_db": "{n} dB",
  "us.band": "평소 {low} ~ {high}",
  "us.learningShort": "아직 1시간이 안 됨",
  "us.learning": "{name}: {now}. 오디오가 1시간 쌓이면 평소 범위를 알 수 있습니다.",
  "us.noNow": "{name}: 최근 5분 동안 오디오가 너무 적습니다.",
  "us.is.usual": "{name}: {now}, 평소와 같음 (지난 24시간 {low} ~ {high}).",
  "us.is.low": "{name}: {now}, 평소보다 낮음 (지난 24시간 {low} ~ {high}).",
  "us.is.high": "{name}: {now}, 평소보다 높음 (지난 24시간 {low} ~ {high}).",
};
