"""`host-stt score`: compare a transcript with what was said. Prints error rates and the scores of terms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from host_stt_cli.errors import StartError
from host_stt_cli.scores.files import pairs_of
from host_stt_cli.scores.measure import Errors, Scores, TermScores, language_of, scores_of
from host_stt_cli.scores.normalise import STATED
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.yaml_file import read_file


@click.command()
@click.argument("reference", type=click.Path(path_type=Path), metavar="REF")
@click.argument("hypothesis", type=click.Path(path_type=Path), metavar="HYP")
@click.option(
    "--lang",
    type=click.Choice(["en", "ko"]),
    help="Language of the text. Default: by the letters of REF.",
)
@click.option(
    "--terms", type=click.Path(path_type=Path), metavar="GLOSSARY", help="Score these terms as well."
)
@click.option("--whole", is_flag=True, help="Compare the whole texts instead of line by line.")
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON.")
def score(
    reference: Path, hypothesis: Path, lang: str | None, terms: Path | None, whole: bool, as_json: bool
) -> None:
    """Compare the transcript HYP with the text REF that was said.

    Prints the character error rate (CER) with and without spaces, the word error rate (WER) and, with
    --terms, how many call signs and other terms are right. Files: .txt with one line for each utterance; .tsv
    with an id, a tab and the text; .srt or .vtt, which are compared as a whole.
    """
    pairs = pairs_of(reference, hypothesis, is_whole=whole)
    language = lang or language_of(pairs)
    found = scores_of(pairs, language, None if terms is None else _glossary(terms))
    if found is None:
        raise StartError(f"{reference} has no words after normalisation, so there is nothing to compare.")
    if as_json:
        click.echo(json.dumps(found.as_json() | {"normalisation": STATED}, ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join(_lines(found)))


def _glossary(path: Path) -> Snapshot:
    if not path.exists():
        raise StartError(f"{path} cannot be read: there is no such file.")
    try:
        return Snapshot(read_file(path).entries(), 1)
    except GlossaryError as error:
        raise StartError(f"the glossary cannot be used: {error}") from error


def _lines(found: Scores) -> Iterator[str]:
    by_character = [
        ("CER without spaces", found.cer_without_spaces),
        ("CER with spaces", found.cer_with_spaces),
    ]
    rates = (
        [*by_character, ("WER", found.wer)] if found.language == "ko" else [("WER", found.wer), *by_character]
    )
    yield f"{found.lines} {'line' if found.lines == 1 else 'lines'}, language {found.language}"
    for name, errors in rates:
        yield f"{name:<20}{_rate(errors)}"
    if found.terms is not None:
        yield from _term_lines(found.terms)
    yield f"Normalisation: {STATED}"


def _rate(errors: Errors) -> str:
    counts = f"{errors.substituted} substituted, {errors.deleted} deleted, {errors.inserted} inserted"
    return f"{_percent(errors.rate):>8}   {counts} of {errors.of}"


def _term_lines(terms: TermScores) -> Iterator[str]:
    if terms.said:
        in_form = f"in the site's form, of {terms.said} terms said"
        yield f"{'Term recall':<20}{_percent(terms.recall):>8}   {in_form}"
        yield f"{'  in any spelling':<20}{_percent(terms.recall_any):>8}"
    else:
        yield f"{'Term recall':<20}{'-':>8}   no term was said"
    yield f"{'Term precision':<20}{_percent(terms.precision):>8}   {terms.false} terms that were not said"
    without = f"of {terms.lines_without} lines without a term"
    yield f"{'False insertions':<20}{_percent(terms.false_lines):>8}   {without}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
