"""Compile the translations of the rendered project: each django.po to the django.mo beside it.

The same bytes everywhere; a test compares them. Rendering and running a project need no gettext.
"""

import struct
from pathlib import Path

from babel.messages.pofile import read_po

SOURCE = Path(__file__).resolve().parent.parent / "{{cookiecutter.project_slug}}"
MAGIC = 0x950412DE


def compiled(file: Path) -> bytes:
    """Return what becomes of a .po file, in the format of gettext's manual, without hash table.

    Babel would write dates and its version into it. Raises PoFileError on what cannot be read.
    """
    with file.open("rb") as source:
        catalog = read_po(source, abort_invalid=True)
    header = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: {catalog.plural_forms}\n"
    texts = {"": header} | {str(it.id): str(it.string) for it in catalog if it.id and it.string}
    pairs = sorted((key.encode(), text.encode()) for key, text in texts.items())
    tables, content = [b"", b""], b""
    start = 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), start + len(content))
            content += pair[column] + b"\0"
    head = struct.pack("<7I", MAGIC, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + tables[0] + tables[1] + content


if __name__ == "__main__":
    for each in sorted(SOURCE.rglob("*.po")):
        each.with_suffix(".mo").write_bytes(compiled(each))
