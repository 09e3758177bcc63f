"""The text of a document: plain text and Markdown as they are, HTML and PDF through libraries.

What cannot be read is an error with a name, so that one bad document says what is wrong with it and the others go on.
"""

from __future__ import annotations

import io
import re
from pathlib import PurePath

from headgate.document_errors import (
    DocumentBinary,
    DocumentBroken,
    DocumentEmpty,
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentUndecodable,
)
from headgate.errors import MissingExtra

MAX_BYTES = 50_000_000  # of a file
MAX_CHARACTERS = 20_000_000  # of its text: some 5 million tokens
SUFFIXES = frozenset({
    "", ".txt", ".text", ".md", ".markdown", ".rst", ".log", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".tex",
    ".html", ".htm", ".xhtml", ".pdf",
})  # fmt: skip

_HTML = frozenset({".html", ".htm", ".xhtml"})
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]{1,40})", re.IGNORECASE)
_LOOKED_AT = 4096
_CONTROL = frozenset(range(32)) - {9, 10, 12, 13, 27}
_UNREAD = ["script", "style", "noscript", "template", "svg", "nav", "iframe"]
_BLOCKS = "p,div,section,article,li,tr,h1,h2,h3,h4,h5,h6,pre,blockquote,br,dt,dd,figcaption"
_MANY_BREAKS = re.compile(r"\n\s*\n\s*")


def text_of(name: str, content: bytes) -> str:
    """The text of a file, whose kind its name tells and its first bytes. Raises an error of `document_errors`, and
    MissingExtra for HTML and PDF without the libraries."""
    if not content.strip():
        raise DocumentEmpty(f"'{name}' is empty.")
    if len(content) > MAX_BYTES:
        raise too_large(name, len(content))
    suffix = PurePath(name).suffix.lower()
    if suffix == ".pdf" or content.startswith(b"%PDF-"):
        text = _of_pdf(name, content)
    elif suffix in _HTML:
        text = _of_html(_decoded(name, content))
    else:
        text = _decoded(name, content)
    return checked(name, text)


def checked(name: str, text: str) -> str:
    """The text of a document, if there is any and not too much. Raises DocumentEmpty, DocumentTooLarge."""
    if not text.strip():
        raise DocumentEmpty(f"There is no text in '{name}'. Pages that were scanned need to be recognized (OCR) first.")
    if len(text) > MAX_CHARACTERS:
        raise DocumentTooLarge(f"'{name}' has {len(text)} characters, more than {MAX_CHARACTERS}. Split it.")
    return text.encode("utf-8", "replace").decode()  # lone surrogates are in no database and no request


def too_large(name: str, size_bytes: int) -> DocumentTooLarge:
    """The error of a file that is not even read."""
    return DocumentTooLarge(f"'{name}' has {size_bytes} bytes, more than {MAX_BYTES}. Split it.")


def _decoded(name: str, content: bytes) -> str:
    encoding = next((encoding for mark, encoding in _BOMS if content.startswith(mark)), None)
    if encoding is None:
        start = content[:_LOOKED_AT]
        if b"\x00" in start or sum(byte in _CONTROL for byte in start) > len(start) / 50:
            raise DocumentBinary(f"'{name}' is no text, and no PDF or HTML either.")
        declared = _CHARSET.search(start)
        encoding = declared.group(1).decode() if declared else "utf-8"
    try:
        return content.decode(encoding)
    except LookupError:
        raise DocumentUndecodable(f"'{name}' says that it is in '{encoding}', which is unknown.") from None
    except UnicodeError:
        raise DocumentUndecodable(f"'{name}' is not in {encoding}. Save it as UTF-8.") from None


def _of_html(markup: str) -> str:
    """What a reader would see, with a line for each block."""
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise _missing("HTML", "selectolax") from None
    page = LexborHTMLParser(markup)
    page.strip_tags(_UNREAD)
    for block in page.css(_BLOCKS):
        block.insert_after("\n\n")
    root = page.body or page.root
    text = root.text() if root is not None else ""
    return _MANY_BREAKS.sub("\n\n", text).strip()


def _of_pdf(name: str, content: bytes) -> str:
    """The text of all pages, in their order."""
    try:
        import pypdf
        from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError
    except ImportError:
        raise _missing("PDF", "pypdf") from None
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentEncrypted(f"'{name}' is encrypted. Save it without a password.")
        pages: list[str] = []
        size = 0
        for page in reader.pages:
            pages.append(page.extract_text())
            size += len(pages[-1])
            if size > MAX_CHARACTERS:
                raise DocumentTooLarge(f"'{name}' has more than {MAX_CHARACTERS} characters. Split it.")
    except (DependencyError, FileNotDecryptedError):
        raise DocumentEncrypted(f"'{name}' is encrypted. Save it without a password.") from None
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError) as error:
        # A damaged file shows in many ways, not all of them named by the library.
        raise DocumentBroken(f"'{name}' is no PDF that can be read: {error or type(error).__name__}.") from None
    return "\n\n".join(pages)


def _missing(what: str, package: str) -> MissingExtra:
    return MissingExtra(f"Reading {what} needs {package}. Install headgate[documents].")
