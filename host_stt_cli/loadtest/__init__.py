"""`host-stt loadtest`: can this machine handle my channels? Real connections, real speech, one report."""

from host_stt_cli.loadtest.command import loadtest

__all__ = ["loadtest"]
