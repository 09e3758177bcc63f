"""Why a document cannot be read; rows of the error table, as those in `errors.py`. They are of one document: the others
of its job go on."""

from __future__ import annotations

from headgate.errors import InvalidRequest


class DocumentEmpty(InvalidRequest):
    """The document has no text: an empty file, nothing but space, or a PDF of scanned pages."""

    code = "document_empty"


class DocumentTooLarge(InvalidRequest):
    """The document is larger than headgate reads at once."""

    code = "document_too_large"


class DocumentBinary(InvalidRequest):
    """The document is no text and no kind of file that headgate reads."""

    code = "document_binary"


class DocumentUndecodable(InvalidRequest):
    """The document looks like text, but in no encoding that it names or that headgate knows."""

    code = "document_undecodable"


class DocumentEncrypted(InvalidRequest):
    """The document can only be read with a password."""

    code = "document_encrypted"


class DocumentBroken(InvalidRequest):
    """The document is damaged, or a line of JSONL is no document."""

    code = "document_broken"


class DocumentMissing(InvalidRequest):
    """The document was there when the job was prepared, and is not there any more or may not be read."""

    code = "document_missing"


class PartsFailed(InvalidRequest):
    """Nothing of what a result would be made of succeeded; its parts say why."""

    code = "parts_failed"


class AnswerInvalid(InvalidRequest):
    """A model's answer for a document does not fit the schema, and neither does the second one."""

    code = "answer_invalid"
