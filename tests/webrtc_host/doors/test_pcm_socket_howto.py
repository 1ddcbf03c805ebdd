"""The program in docs/howto/send-sound.md does what the page says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.support.desk import a_config, running_desk
from tests.support.events import an_event
from tests.support.recordings import write_wav
from tests.support.server import ROOT
from tests.support.speech import silence
from webrtc_host.seams import Block, EventType
from webrtc_host.session.channel import Channel

PAGE = ROOT / "docs" / "howto" / "send-sound.md"


class SpeakingPipeline:
    """Emits one final when its channel closes."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.samples = 0

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        self.samples += len(block.samples)

    async def close(self) -> None:
        self.channel.session.log.emit(
            an_event(
                EventType.SEGMENT_FINAL,
                self.channel.id,
                utterance="u_1",
                segment="g_1",
                text=f"{self.samples} samples",
                start_ms=0,
                end_ms=500,
            )
        )

    def set_language(self, language: str) -> None: ...

    async def force_end(self) -> None:
        return None

    @property
    def pause_ms(self) -> int:
        return 0


async def test_the_python_program_of_the_howto_sends_a_file_and_prints_its_finals(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert program is not None
    script = tmp_path / "send_sound.py"
    script.write_text(program[1], encoding="utf-8")
    sound = write_wav(tmp_path / "radio.wav", silence(0.5))
    async with running_desk(a_config(tmp_path / "data"), make_pipeline=SpeakingPipeline) as desk:
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), str(sound), desk.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(ran.communicate(), 60)
    assert ran.returncode == 0, err.decode()
    assert "00:00.000 8000 samples" in out.decode()
    assert "'type': 'stopped'" in out.decode()
