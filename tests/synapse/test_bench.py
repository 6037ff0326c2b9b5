"""The benchmarks, in their short form. What they find on a quiet machine is in the
documentation; here they only have to run."""

from pathlib import Path

import bench_all
import bench_exact
import bench_gaps
import bench_hit
import bench_miss
import bench_sync
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


def test_the_benchmark_compares_answers_from_memory(capsys: pytest.CaptureFixture[str]) -> None:
    bench_hit.main(["--recipients", "90", "--known", "300", "--repeat", "1", "--rounds", "2"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["question", "module", "other", "ratio", "target", "daemon"]
    rows = [line.rsplit(maxsplit=5) for line in lines]
    assert [(name.strip(), target) for name, _, _, _, target, _ in rows] == [
        ("1 state, 90 recipients", "0.08"),
        ("interest, 90 senders", "0.05"),
        ("100 states, 10 audiences", "-"),
        ("interest, everyone, 300 senders", "0.05"),
        ("PRESENCE_ALL_USERS, 300 states", "1.30"),
    ]
    assert all(float(ours) > 0 and float(theirs) > 0 for _, ours, theirs, *_ in rows)
    # Memory answers everything that was asked before.
    assert [row[-1] for row in rows] == ["0.00"] * 5


def test_the_benchmark_measures_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--known", "3000", "--misses", "4", "--idle", "0.05", "--rounds", "2"]
    bench_gaps.main(short)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["reactor", "p99", "max", "worst", "cpu", "took"]
    rows = [line.split() for line in lines]
    assert [row[0] for row in rows] == ["idle", "first", "changed", "misses"]
    for _, p99, longest, worst, cpu, took in rows:
        assert 0 < float(p99) <= float(longest) <= float(worst)
        assert float(cpu) > 0 and float(took) > 0


def test_the_benchmark_measures_syncs(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--users", "4", "--group", "2", "--changing", "2", "--seconds", "1", "--rounds", "1"]
    bench_sync.main(["--ways", "without", "module", *short])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["way", "count", "p50", "p90", "p99", "max", "cpu"]
    rows = [line.split() for line in lines]
    assert [row[:3] for row in rows] == [
        [way, *request]
        for way in ("without", "module")
        for request in (("/sync", "4"), ("PUT", "2"))
    ]
    for *_, p50, p90, p99, longest, _ in rows:
        assert 0 < float(p50) <= float(p90) <= float(p99) <= float(longest)
    assert all(float(row[-1]) > 0 for row in rows if row[1] == "/sync")


def test_the_benchmark_measures_full_control(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--users", "6", "--waiting", "2", "--rate", "4", "--wait", "2", "--seconds", "1.5"]
    more = ["--rounds", "1", "--stored", "50", "--border", "3"]
    bench_exact.main(["--ways", "none", "exact", *few, *more])
    head, none, exact, stored, *of_stored, lost, gained = capsys.readouterr().out.splitlines()
    assert head.split() == ["way", "events", "event", "change", "p50", "p99", "MiB"]
    for way, line in (("none", none), ("exact", exact)):
        name, *figures = line.split()
        # Each change reaches both who wait.
        assert name == way and all(float(figure) > 0 for figure in figures), line
    assert stored.startswith("50 stored presences: ")
    assert [line.split()[0] for line in of_stored] == ["none", "exact"]
    assert lost.startswith("3 pairs lost: ") and gained.startswith("3 pairs gained: ")
