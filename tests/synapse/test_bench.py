"""The benchmarks, in their short form. What they find on a quiet machine is in the
documentation; here they only have to run."""

from pathlib import Path

import bench_all
import bench_miss
import presence_router
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


def test_the_benchmark_measures_each_question(capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(presence_router.__file__).parents[1]
    short = ["--calls", "20", "--rounds", "1", "--in-flight", "1", "5"]
    bench_miss.main(["--package", str(other), *short])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["callback", "in", "flight", "package", "p50", "cpu", "reactor"]
    rows = [line.split() for line in lines]
    assert [row[:3] for row in rows] == [
        [callback, number, package]
        for callback in bench_miss.CALLBACKS
        for number in ("1", "5")
        for package in ("installed", "other", "ratio")
    ]
    assert all(float(p50) > 0 and float(cpu) > 0 for *_, p50, cpu, _ in rows)
