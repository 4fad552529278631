"""Which checkpoint an attempt continues from: the newest one that is whole."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from service.blobs import BlobStore, verify
from service.errors import BlobDamaged, BlobMissing
from service.models import Checkpoint

# Of the file itself. Any other error is of the machine or of the way to the file, and passes or is set right by
# somebody: to go on from an older checkpoint would then throw good ones away.
_SPOILED = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EISDIR, errno.ENOTDIR)


@dataclass(frozen=True)
class Choice:
    """Where to continue from, None for the beginning, and the steps of newer checkpoints that were of no use."""

    origin: Checkpoint | None
    unusable: Sequence[int] = ()


def choose_origin(blobs: BlobStore, checkpoints: Sequence[Checkpoint]) -> Choice:
    """Read checkpoints, newest first, until one is whole; raise OSError when one cannot be read now."""
    unusable: list[int] = []
    for checkpoint in checkpoints:
        if _is_whole(blobs, checkpoint):
            return Choice(checkpoint, unusable)
        unusable.append(checkpoint.step)
    return Choice(None, unusable)


def _is_whole(blobs: BlobStore, checkpoint: Checkpoint) -> bool:
    try:
        verify(blobs, checkpoint.files["all"])
    except (BlobMissing, BlobDamaged, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _SPOILED:
            raise
        log = structlog.get_logger().bind(job=checkpoint.job_id, step=checkpoint.step)
        log.warning("checkpoint unusable", error=repr(error))
        return False
    return True
