"""One upload made ready: its bytes looked at, parsed by their format, written as rows with facts and a preview."""

from pathlib import Path

from service.spec.facts import DatasetFacts
from worker.ingest.bench import Bench
from worker.ingest.kinds import prepare_any
from worker.ingest.mixtures import with_mixture
from worker.ingest.preview import write_preview
from worker.ingest.upload import ROWS, Limits, Prepared, Upload


def prepare(upload: Upload, target: Path, limits: Limits) -> Prepared:
    """Prepare an upload into an empty directory; raises BadUpload, and nothing else because of what the file holds."""
    bench = Bench(upload, target, limits)
    try:
        facts = with_mixture(prepare_any(bench, upload.path), target / ROWS)
        _remark_unused(bench, facts)
        return Prepared(facts, tuple(bench.remarks), write_preview(facts, target))
    finally:
        bench.clear_scratch()


def _remark_unused(bench: Bench, facts: DatasetFacts) -> None:
    if not facts.columns:
        bench.remark_unused("label", f"{facts.modality} data without named columns")
    if facts.modality != "audio":
        bench.remark_unused("sample_rate", f"{facts.modality} data")
        bench.remark_unused("seconds", f"{facts.modality} data")
