"""The tutorials of docs/, done word by word by one reader each."""

from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import pytest
from harness.tutorial import Tutorial

#: Each tutorial, and the blocks that it has at least.
TUTORIALS = {
    "tutorial-sidecar.md": {"console": 12, "toml": 1},
    "tutorial-gateway.md": {"console": 13, "toml": 1},
    "tutorial-notebook.md": {"console": 5, "toml": 1, "python": 8},
}


@pytest.fixture
def reader(tmp_path: Path):
    one = Tutorial(tmp_path)
    # DuckDB installs its extension for HTTP by itself where there is a network; here it finds it installed.
    extensions = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    [(platform,)] = duckdb.sql("pragma platform").fetchall()
    place = tmp_path / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / platform
    place.mkdir(parents=True)
    for file in extensions.iterdir():
        (place / file.name).symlink_to(file)
    yield one
    one.stop()


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_is_true_word_by_word(page, reader):
    reader.do(page)
    for language, number in TUTORIALS[page].items():
        assert reader.done[language] >= number, reader.done
