from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from host_stt_cli.loadtest import page
from host_stt_cli.loadtest.comparing import compared, table, unlike
from host_stt_cli.loadtest.probing import difference, parsed, quantiles
from host_stt_cli.loadtest.report import POINTS_MAX, thinned
from host_stt_cli.loadtest.said import lines
from host_stt_cli.loadtest.watching import Watcher
from host_stt_cli.main import main
from tests.cli.loadtest.reports import report

METRICS = """
# TYPE waits histogram
waits_bucket{priority="final",le="0.1"} 90
waits_bucket{priority="final",le="0.5"} 99
waits_bucket{priority="final",le="+Inf"} 100
waits_bucket{priority="interim",le="0.1"} 0
waits_bucket{priority="interim",le="0.5"} 10
waits_bucket{priority="interim",le="+Inf"} 10
waits_count{priority="final"} 100
# TYPE done counter
done_total{outcome="text"} 7
"""


def test_two_reports_are_compared_figure_by_figure() -> None:
    rows = {name: row for name, *row in compared(report(), report(measures__ttfs_ms__p95=450.0))}
    assert rows["measures.ttfs_ms.p95"] == [900.0, 450.0, 0.5]
    assert rows["measures.missed"] == [0.0, 0.0, None]


def test_the_figures_of_a_terminal_name_the_counts() -> None:
    said = "\n".join(lines(report()))
    assert "700/900/1000/1200 ms (p50/p95/p99/max of 160)" in said
    assert "WER 5.0% of 900; the same phrases without load: WER 4.0% of 300" in said
    assert re.search(r"interim age +-", said)
    assert "in the record" not in said, "nothing was revised"


def test_the_text_after_the_revisions_has_a_row_of_its_own() -> None:
    recorded = {"kind": "WER", "rate": 0.045, "n": 900}
    said = "\n".join(lines(report(measures__accuracy_recorded=recorded, measures__revised=7)))
    assert re.search(r"in the record +WER 4\.5% of 900, after 7 revised lines", said)


def test_two_reports_of_unlike_runs_say_in_what_they_differ() -> None:
    other = report(load__channels=8, server__model="large", load__seconds=60.4)
    assert unlike(report(), other) == ["channels 16 and 8", "model starter and large"]
    assert "not the same: channels 16 and 8" in "\n".join(table(report(), other))


def test_a_series_of_a_night_is_thinned_and_keeps_what_stands_out() -> None:
    series = [(float(n), 5.0) for n in range(100_000)]
    series[54_321] = (54_321.0, 999.0)
    thin = thinned(series)
    assert len(thin) <= POINTS_MAX and (54_321.0, 999.0) in thin and thin[0] == series[0]
    assert thin == sorted(thin), "in order"
    assert thinned(series[:10]) == series[:10]


def test_the_page_carries_its_figures_and_fetches_nothing() -> None:
    found = report(verdict={"answer": "yes", "sentence": "</script><b>yes</b>"})
    said = page.html(found)
    assert "</script><b>" not in said, "no text of a report can end the script"
    carried = said.split("const R = ", 1)[1].split(";\n", 1)[0]
    assert json.loads(carried)["measures"] == found["measures"]
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org/2000/svg)", said)


def test_a_percentile_of_a_histogram_is_the_bound_of_its_bucket() -> None:
    spent = parsed(METRICS)
    assert spent["done_total{outcome=text}"] == 7
    assert quantiles(spent, "waits", priority="final") == {"n": 100, "p50": 0.1, "p95": 0.5, "p99": 0.5}
    assert quantiles(spent, "waits")["n"] == 110
    assert quantiles(spent, "no such")["n"] == 0
    assert difference(spent, spent)["done_total{outcome=text}"] == 0


def test_the_watcher_puts_events_on_the_sessions_timeline_whatever_the_clocks_say() -> None:
    watcher = Watcher(None, "", "s_1")  # type: ignore[arg-type]  # it is not opened
    server_is_ahead_s = 37.0
    t0_wall_s = 1_700_000_000.0
    for sent_s, delay_s in ((5.0, 0.120), (6.0, 0.004), (7.0, 0.300)):
        event = {"type": "segment.final", "wall": wall(t0_wall_s + sent_s), "start_ms": 0}
        if sent_s == 5.0:
            event |= {"type": "session.started", "t0_wall": wall(t0_wall_s)}
        our_wall_s = t0_wall_s + sent_s + delay_s - server_is_ahead_s
        watcher.take(900.0 + sent_s + delay_s, our_wall_s, event)
    t0_s = watcher.t0_s(950.0, t0_wall_s + 50.0 - server_is_ahead_s)
    assert t0_s == pytest.approx(900.004, abs=0.001), "to the quickest event"
    assert [round(a.at_ms) for a in watcher.arrived(t0_s)] == [5116, 6000, 7296]


def wall(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the command ------------------------------------------------------------------------------------------


def test_two_files_are_compared_without_any_server(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("before.json", "after.json")]
    for file, found in zip(files, (report(), report(measures__ttfs_ms__p95=450.0)), strict=True):
        file.write_text(json.dumps(found))
    done = CliRunner().invoke(main, ["loadtest", "--compare", *map(str, files)])
    assert done.exit_code == 0
    assert re.search(r"ttfs_ms\.p95 +900 +450 +0\.50", done.output)


def test_a_file_that_is_no_report_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"version": 99}')
    done = CliRunner().invoke(main, ["loadtest", "--compare", str(other), str(other)])
    assert done.exit_code == 2 and "other.json is not a report" in done.output


def test_a_server_that_is_not_there_could_not_be_measured() -> None:
    done = CliRunner().invoke(main, ["loadtest", "--base", "http://127.0.0.1:9", "--channels", "1"])
    assert done.exit_code == 2 and "no server responds at http://127.0.0.1:9: is it running" in done.output


def test_an_impossible_load_is_reported_in_one_sentence() -> None:
    done = CliRunner().invoke(main, ["loadtest", "--loss", "0.9"])
    assert done.exit_code == 2 and "loss is 0.9; it must be between 0 and 0.5" in done.output


def test_an_invalid_address_is_reported_with_an_example() -> None:
    done = CliRunner().invoke(main, ["loadtest", "--base", "127.0.0.1:8082", "--channels", "1"])
    assert done.exit_code == 2 and "not the address of a server; give --base http://HOST:PORT" in done.output
