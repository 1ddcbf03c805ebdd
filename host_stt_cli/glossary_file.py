"""The glossary file of a configuration: where it is, and whether it has any term."""

from __future__ import annotations

from pathlib import Path

from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.yaml_file import read_file

GLOSSARY_NAME = "glossary.yaml"


def glossary_file(data_dir: Path, first: Path) -> Path:
    """The file that a server with this data folder uses. first: what it copies at its first start."""
    own = data_dir.expanduser() / GLOSSARY_NAME
    return own if own.exists() else first


def has_terms(file: Path) -> bool:
    """False for a file with mistakes too: it is not used, and `check` and the server report them."""
    try:
        found = read_file(file)
    except GlossaryError:
        return False
    return bool(found.terms or found.patterns)
