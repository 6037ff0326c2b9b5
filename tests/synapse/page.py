"""The YAML blocks of the documentation's pages, as tests load them."""

import re
from pathlib import Path

_DOCS = Path(__file__).parents[2] / "client" / "python" / "docs"


def block(page: str, title: str, **names: str) -> str:
    """The one block of a page whose first line is the comment `title`.

    `names`: what is written in its place where the block has a name of an example:
    `one_example` stands for `one.example`.
    """
    text = (_DOCS / page).read_text()
    found = [
        body for body in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        if body.startswith(f"# {title}\n")
    ]  # fmt: skip
    assert len(found) == 1, f"{page} has {len(found)} blocks with the title `{title}`"
    (body,) = found
    for name, value in names.items():
        name = name.replace("_", ".")
        assert name in body, f"{page}: the block `{title}` names no {name}"
        body = body.replace(name, value)
    return body
