"""The benchmark of the two ways for users who may see everyone, in its short form.
What it finds on a quiet machine is in the documentation; here it only has to run."""

import bench_all
import pytest


def test_the_benchmark_measures_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    bench_all.main(["--known", "40", "--initial", "1", "--incremental", "2", "--changing", "5"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["known", "/sync", "all_users", "reactor", "process", "stall", "missed"]
    rows = [line.split() for line in lines]
    assert [row[:3] for row in rows] == [
        ["40", kind, way] for way in ("auto", "never") for kind in ("initial", "incremental")
    ]
    # The whole process cannot use less than a part of it; clocks are coarse.
    assert all(float(process) > 0 and float(stall) > 0 for *_, process, stall, _ in rows)
    # The list shows everybody, whatever changes.
    assert [row[-1] for row in rows if row[2] == "never"] == ["0.0", "0.0"]
