"""The page for operators: what it says that the log and the metrics say, they say."""

import ast
import re
from pathlib import Path

import presence_router.synapse
from presence_router.health import OF_ADD, _away_lines
from prometheus_client import REGISTRY

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "client/python/README.md").read_text()
PACKAGE = Path(presence_router.synapse.__file__).parent


def cells(section: str) -> list[str]:
    """What stands in backticks at the start of the rows of a section's tables."""
    (text,) = re.findall(rf"## {section}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)
    return [
        cell
        for row in re.findall(r"^\| (`.*?`) \|", text, re.M)
        for cell in row[1:-1].split("`, `")
    ]


def test_every_log_line_of_the_page_is_one_of_the_module() -> None:
    said = [
        node.value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    # Made of parts, for each mode.
    said += _away_lines(OF_ADD).values()
    lines = cells("At three in the morning")
    assert len(lines) == 19
    for line in lines:
        for part in re.split(r"\.\.|\d+", line):
            assert any(part.strip(" :;") in text for text in said), (line, part)


def test_every_metric_of_the_page_is_there_and_no_other() -> None:
    ours = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect()
        if family.name.startswith("presence_router")
    }
    # Without the head of the second table.
    named = set(cells("Metrics")) - {"outcome"}
    # Only if the policy alone decides.
    named.remove("presence_router_sealed")
    ours.discard("presence_router_sealed")
    assert ours <= named
    outcomes = {"ok", "malformed", "unreachable", "deadline", "refused", "unusable", "failed"}
    assert named - ours == outcomes
