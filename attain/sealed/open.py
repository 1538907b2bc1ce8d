"""The only way to the sealed rows: one function that wants a permit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from attain.core.errors import SealError
from attain.core.files import inside
from attain.core.seal import Permit, Seal

if TYPE_CHECKING:
    import pandas as pd


def open_sealed(folder: Path, seal: Seal, permit: Permit) -> pd.DataFrame:
    """Read the sealed rows, once.

    Args:
        folder: The study's folder.
        seal: The plan that set them aside.
        permit: Says which frozen model is tested, which record announced it, and why again.

    Returns:
        The rows as they were read from the user's file.

    Raises:
        SealError: The permit names no model or no announcement, a second look has no reason, or
            the file is missing or not the one that was sealed.
    """
    _check_permit(permit)
    path = inside(Path(folder), seal.path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SealError(
            f"{path}: the sealed rows must be where they were put ({error.strerror}) — put the "
            "file back, or start a new study; a verdict from other rows would prove nothing"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != seal.digest:
        raise SealError(
            f"{path}: the sealed rows must be the ones set aside (SHA-256 {digest[:12]}..., sealed "
            f"was {seal.digest[:12]}...) — put the original file back, or start a new study"
        )
    import pyarrow as pa

    with pa.ipc.open_file(content) as reader:
        return reader.read_all().to_pandas(ignore_metadata=True)


def _check_permit(permit: Permit) -> None:
    if not permit.digest or permit.intent < 1:
        raise SealError(
            "the seal opens for a frozen model whose test was announced in the ledger "
            f"(got digest {permit.digest!r}, record {permit.intent}) — run attain test"
        )
    if permit.look < 1:
        raise SealError(f"looks at the seal are counted from 1 (got {permit.look})")
    if permit.look > 1 and not permit.reason.strip():
        raise SealError(
            f"the seal was opened before, so look {permit.look} needs a reason — say why with "
            "--reason; it is shown in the report and each extra look halves the allowed error"
        )
