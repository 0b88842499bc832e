"""Print the oldest versions allowed by pyproject.toml, as constraints for pip."""

import re
import tomllib
from pathlib import Path


def oldest(project):
    """Return `name==version` for each requirement with a lower bound; skip the extra `dev`."""
    extras = project["optional-dependencies"]
    lists = [project["dependencies"], *(extras[name] for name in extras if name != "dev")]
    bounds = [re.match(r"([\w.-]+)>=([\w.]+)", line) for lines in lists for line in lines]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    print("\n".join(oldest(tomllib.loads(text)["project"])))
