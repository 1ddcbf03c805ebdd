"""How right is live text? Recordings through the whole server, beside faster-whisper on the same files.

  python scripts/evaluate_speech.py --audio DIR --model base
  python scripts/evaluate_speech.py --audio DIR --model /models/base --channels 4 --limit 3
  python scripts/evaluate_speech.py --audio DIR --model /models/base --pipeline --kinds nonspeech
  python scripts/evaluate_speech.py --audio DIR --model /models/base --pipeline --opus
  python scripts/evaluate_speech.py --noise 60 --model /models/base --pipeline

DIR holds a folder for each language (en/NAME.flac with its words in en/NAME.txt) and nonspeech/ for
recordings in which nothing is said. Each recording is played over WebRTC at the speed of speech into a
server that this script starts, or into the one that --server names; --pipeline plays it faster than real
time through the media server's own pipeline instead, with --opus after the codec of WebRTC. English error
rates need whisper-normalizer: pip install --no-deps -r bench/requirements.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.speech import report, servers  # noqa: E402
from bench.speech.clips import Recording, recordings_in  # noqa: E402
from bench.speech.live import LivePlayer  # noqa: E402
from bench.speech.noises import noises  # noqa: E402
from bench.speech.normalise import normaliser  # noqa: E402
from bench.speech.offline import Offline  # noqa: E402
from bench.speech.played import Played  # noqa: E402
from bench.speech.stepped import play_stepped, speech_settings  # noqa: E402
from host_stt.config import EngineConfig  # noqa: E402
from host_stt.errors import ModelError  # noqa: E402
from host_stt.resolving import resolve_model  # noqa: E402
from host_stt_cli.errors import StartError  # noqa: E402
from host_stt_cli.loadtest.run import Unmeasured  # noqa: E402

GIVEN = "given"
OPUS_KBPS = 32
"""What `live` and the load test send."""
REVIEW_HELP = "wait so long at the end for revised lines; with --pipeline: review without waiting"
TOKEN_VARIABLE = "HOST_STT_TOKEN"


@dataclass(frozen=True, slots=True)
class Texts:
    """What came of the recordings, live and offline."""

    played: Sequence[Played]
    offline: Sequence[dict[str, str]]


def main() -> int:
    options = _options()
    try:
        recordings = _recordings(options)
        for one in recordings:
            if one.is_speech:
                normaliser(one.language)("")  # fails now rather than after an hour
        texts = asyncio.run(_texts(recordings, options))
    except (StartError, ModelError, Unmeasured) as error:
        print(error, file=sys.stderr)
        return 2
    found = report.build(texts.played, texts.offline, _run(options))
    text = report.markdown(found)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.texts:
        options.texts.write_text(_as_text(texts), encoding="utf-8")
    return 0


def _language(recording: Recording, wanted: str) -> str:
    """What the channel is opened with; a recording without speech counts as English unless told."""
    return (recording.language or "en") if wanted == GIVEN else wanted


def _recordings(options: argparse.Namespace) -> list[Recording]:
    """Raises StartError when the options name none."""
    if options.noise:
        if not options.pipeline:
            raise StartError("--noise needs --pipeline: generated audio is no file to be sent.")
        return noises(options.noise)
    if options.audio is None:
        raise StartError("give --audio DIR, or --noise MINUTES.")
    return recordings_in(options.audio, options.limit, options.kinds)


async def _texts(recordings: Sequence[Recording], options: argparse.Namespace) -> Texts:
    model = resolve_model(EngineConfig(model=options.model, models_dir=ROOT / "data" / "models")).path
    languages = [_language(one, options.language) for one in recordings]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evaluate-speech-")))
        if options.pipeline:
            speech, settings = speech_settings(options.set)
            url = stack.enter_context(servers.engine(folder, model, settings))
            await servers.wait_ready(url)
            played = await play_stepped(
                url,
                recordings,
                languages,
                _say,
                config=speech,
                has_interims=not options.no_interims,
                opus_kbps=options.opus,
                has_review=options.review > 0,
            )
        else:
            url = options.server or stack.enter_context(servers.server(folder, model, options.set))
            await servers.wait_ready(url)
            player = LivePlayer(url, os.environ.get(TOKEN_VARIABLE, ""), options.channels, options.review)
            played = await player.play(recordings, languages, _say)
    if options.no_offline:
        return Texts(played, [{} for _ in recordings])
    return Texts(played, Offline(model, options.offline_texts).read(recordings))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--audio", type=Path, metavar="DIR", help="recordings with their words")
    add("--noise", type=int, default=0, metavar="MINUTES", help="generated noise instead; with --pipeline")
    add("--model", default="base", help="a model's name or folder, for the server and offline; default base")
    add("--server", metavar="URL", help="a running server with the same model; its token: HOST_STT_TOKEN")
    add("--pipeline", action="store_true", help="no WebRTC: the pipeline alone, faster than real time")
    add(
        "--opus",
        type=int,
        nargs="?",
        const=OPUS_KBPS,
        default=0,
        metavar="KBPS",
        help=f"--pipeline gets the audio after Opus, as over WebRTC; default bit rate {OPUS_KBPS} kbit/s",
    )
    add("--review", type=float, default=0.0, metavar="S", help=REVIEW_HELP)
    add("--no-interims", action="store_true", help="--pipeline asks for finals alone: faster, later text")
    add("--channels", type=int, default=1, help="recordings played at once; default 1, for two cores")
    add("--language", default=GIVEN, help="what channels are opened with: given (default), auto or a code")
    add("--kinds", nargs="+", default=[], metavar="KIND", help="only these, such as telephone, nonspeech")
    add("--limit", type=int, metavar="N", help="at most N recordings of each language and kind")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for the server")
    add("--no-offline", action="store_true", help="do not transcribe the files with faster-whisper")
    add("--offline-texts", type=Path, metavar="FILE", help="keep the offline texts there for further runs")
    add("--note", default="", help="a sentence for the report, such as what else ran on the machine")
    add("--json", type=Path, metavar="FILE", help="write the report there")
    add("--markdown", type=Path, metavar="FILE", help="write the report there, as tables")
    add("--texts", type=Path, metavar="FILE", help="write every recording's texts there, for reading")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> dict[str, Any]:
    if options.pipeline:
        codec = f", after Opus at {options.opus} kbit/s" if options.opus else ""
        way = f"Through the pipeline alone, with the audio's own clock{codec}"
    else:
        way = f"Over WebRTC at the speed of speech, {options.channels} at once"
    arguments = [_without_path(word) for word in sys.argv[1:]]
    return {
        "way": way,
        "command": shlex.join(["python", "scripts/evaluate_speech.py", *arguments]),
        "model": Path(options.model).name,
        "language": options.language,
        "note": options.note,
    }


def _without_path(word: str) -> str:
    """A report is published: folders of the machine are left out."""
    return Path(word).name if "/" in word and not word.startswith("http") else word


def _as_text(texts: Texts) -> str:
    every = [
        {
            "recording": one.recording.name,
            "said": one.recording.words,
            "live": one.text,
            **({"after review": one.reviewed_text} if one.reviewed_text != one.text else {}),
            **offline,
            "lines": [[round(x.start_ms), round(x.end_ms), round(x.at_ms), x.text] for x in one.lines],
        }
        for one, offline in zip(texts.played, texts.offline, strict=True)
    ]
    return json.dumps(every, indent=1, ensure_ascii=False) + "\n"


def _say(recording: Recording) -> None:
    print(f"played {recording.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
