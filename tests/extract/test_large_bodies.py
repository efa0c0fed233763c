"""A report larger than the memory: through the journal and into rows, a stretch at a time."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.command import run

ROW = b'{"day":"2026-01-01","region":"north","orders":123,"note":"The quick brown fox"}'

THROUGH = """
import mmap, resource, sys
from datetime import UTC, datetime
from pathlib import Path

from oa_sync.definitions.loader import load_definition
from oa_sync.journal.items import Item, Kind
from oa_sync.journal.journal import Journal
from oa_sync.shape.document import read_document

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

reports = load_definition("page", dialect="page", environ={}).resource("reports")
folder = Path(sys.argv[1])
with (folder / "body.json").open("rb") as file:
    body = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
before = peak()
read_document(reports, body)
journal = Journal(folder / "journal")
journal.append(Item(Kind.DETAIL, "reports", "r", datetime.now(UTC), row=b"{}", body=body))
[item] = journal.read(journal.rotate())
document = read_document(reports, item.body)
rows = document.rows["data"]
pieces = list(rows.pieces(4 << 20, 1000))
total = sum(len(piece) for _, piece in rows.pieces(4 << 20))
print(document.fields["name"], len(rows), total, len(pieces[0][1]), peak() - before)
"""


def test_a_body_in_a_file_takes_no_memory_of_its_size(tmp_path: Path) -> None:
    count = 900_000
    with (tmp_path / "body.json").open("wb") as file:
        file.write(b'{"id":"r","data":[')
        block = b",".join([ROW] * 10_000)
        for number in range(count // 10_000):
            file.write(b"," * (number > 0) + block)
        file.write(b'],"name":"large"}')
    size = (tmp_path / "body.json").stat().st_size // 2**20
    done = run(sys.executable, "-c", THROUGH, str(tmp_path), cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    name, *numbers = done.stdout.split()
    rows, cut, first, grown = map(int, numbers)
    assert (name, rows, cut, first) == ("large", count, count, 1000)
    assert grown < 50 < size
