"""`host-stt capture`: send files, URLs and the inputs of a sound card to a running server."""

from host_stt_cli.capture.command import capture

__all__ = ["capture"]
