"""The notebook runs, and what is kept of its outputs is small; ``python -m tests.test_notebook`` runs it and keeps them."""

import json
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FILE = Path(__file__).resolve().parents[1] / "examples" / "notebook.ipynb"
LARGEST = 200_000
"""Bytes of the file as kept."""


def run():
    """Run a copy of the notebook."""
    book = nbformat.read(FILE, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(FILE.parent)}}).execute()
    return book


def test_the_notebook_runs_to_its_end():
    book = run()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    said = [json.dumps([dict(output) for output in cell.outputs]) for cell in code]
    assert not any('"stderr"' in text or '"error"' in text for text in said)
    by_source = {cell.source: text for cell, text in zip(code, said, strict=True)}
    assert "<iframe" in by_source["plan.explore()"]
    assert sum("image/png" in text for text in said) == 2
    (difference,) = [text for source, text in by_source.items() if '"difference"' in source]
    assert "proximity.index" in difference


def test_what_is_kept_is_small_and_of_every_cell_but_the_map():
    assert FILE.stat().st_size < LARGEST
    text = FILE.read_text(encoding="utf-8")
    for cell in nbformat.read(FILE, as_version=4).cells:
        if cell.cell_type == "code":
            assert bool(cell.outputs) != ("map" in cell.metadata.get("tags", []))
    assert str(Path.home()) not in text and str(FILE.parent) not in text and "site-packages" not in text


def main():
    """Run the notebook and keep its outputs, without the map."""
    book = run()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if "map" in cell.metadata.get("tags", []):
            cell.outputs = []
    book.metadata.language_info = {"name": "python"}
    nbformat.write(book, FILE)


if __name__ == "__main__":
    main()
