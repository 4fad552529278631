"""Tables of cells, from whichever format: scanned once for what their columns are, then written as numbers."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from service.spec.facts import DatasetFacts, TableColumn
from service.spec.tables import label_column_for, labels_of, table_shape
from worker.ingest.bench import Bench, require_samples
from worker.ingest.columns import ColumnScan, reader_of
from worker.ingest.spellings import DASHES, Spelling, spellings_of
from worker.ingest.upload import MOST_CLASSES, BadUpload, shown

Cells = Sequence[Sequence[str]]  # one sequence of cells for each column
Source = Callable[[], Iterator[Cells]]  # begins anew each time it is called


def prepare_table(bench: Bench, names: Sequence[str], source: Source) -> DatasetFacts:
    """Prepare a table whose cells come in pieces, more than once; raises BadUpload."""
    check_names(bench, names)
    scans = _scan(names, source)
    require_samples(scans[0].count + scans[0].missing, "rows")
    scans, source = _respell(bench, scans, source)
    kept = _choose_columns(bench, scans)
    if bench.options.modality == "vector":
        return _write_vectors(bench, kept, source)
    return _write_table(bench, kept, source)


def _scan(names: Sequence[str], source: Source) -> list[ColumnScan]:
    """Look at every cell once."""
    scans = [ColumnScan(name) for name in names]
    for cells in source():
        for scan, column in zip(scans, cells, strict=True):
            scan.see(column)
    return scans


def _respell(bench: Bench, scans: list[ColumnScan], source: Source) -> tuple[list[ColumnScan], Source]:
    """Read numbers and dates in other spellings as plain ones, where all of a column are in one; tell of it."""
    found = {
        number: spellings_of(scan.values)
        for number, scan in enumerate(scans)
        if not scan.is_plain and scan.name != bench.options.label
    }
    _narrow(found, scans, source)
    for number, fitting in found.items():
        if len(fitting) > 1:
            _remark_ambiguous(bench, scans[number], fitting)
    spelled = {number: fitting[0] for number, fitting in found.items() if len(fitting) == 1}
    if not spelled:
        return scans, source
    misfits: set[int] = set()
    again = _scan([scan.name for scan in scans], _respelled(source, spelled, misfits))
    spelled = {
        number: spelling for number, spelling in spelled.items() if again[number].is_plain and number not in misfits
    }
    for number, spelling in spelled.items():
        _remark_respelled(bench, scans[number], spelling)
    scans = [again[number] if number in spelled else scan for number, scan in enumerate(scans)]
    return scans, _respelled(source, spelled, misfits)


def _narrow(found: dict[int, list[Spelling]], scans: Sequence[ColumnScan], source: Source) -> None:
    """Leave of several spellings those that fit every cell, where a scan could not keep all of a column's values."""
    unsure = [number for number, fitting in found.items() if len(fitting) > 1 and not scans[number].has_all_values]
    for cells in source() if unsure else ():
        for number in unsure:
            distinct = set(cells[number])
            found[number] = [each for each in found[number] if None not in map(each.plain, distinct)]


def _respelled(source: Source, spelled: Mapping[int, Spelling], misfits: set[int]) -> Source:
    """Read columns as spelled; cells that are not written so stay as they are, and their column is a misfit."""

    def pieces() -> Iterator[Cells]:
        for cells in source():
            yield [
                _plain(number, column, spelled[number], misfits) if number in spelled else column
                for number, column in enumerate(cells)
            ]

    return pieces


def _plain(number: int, column: Sequence[str], spelling: Spelling, misfits: set[int]) -> list[str]:
    read = [spelling.plain(cell) for cell in column]
    if None in read:
        misfits.add(number)
    return [cell if plain is None else plain for cell, plain in zip(column, read, strict=True)]


def _remark_respelled(bench: Bench, scan: ColumnScan, spelling: Spelling) -> None:
    dashes = scan.values & DASHES
    changed = sorted(cell for cell in scan.values - dashes if spelling.plain(cell) != cell)
    says = []
    if changed:
        example = f"{shown(changed[0])} is {spelling.plain(changed[0])}"
        says.append(f"looks like {spelling.looks_like} and is read as plain ones: {example}")
    if dashes or not changed:  # dashes that the scan has not kept, among too many values
        says.append(f"has {shown(min(dashes))} for gaps" if dashes else "has dashes for gaps")
    bench.remark("respelled_column", f"The column {shown(scan.name)} {'; it '.join(says)}.")


def _remark_ambiguous(bench: Bench, scan: ColumnScan, fitting: Sequence[Spelling]) -> None:
    looks = " or ".join(dict.fromkeys(spelling.looks_like for spelling in fitting))
    message = f"The column {shown(scan.name)} looks like {looks}, and nothing tells which; write {fitting[0].right}."
    bench.remark("ambiguous_column", message)


def check_names(bench: Bench, names: Sequence[str]) -> None:
    """Raise BadUpload unless the columns are few enough and each has a name of its own, the label among them."""
    if not names:
        raise BadUpload("empty", "The table has no columns.")
    if len(names) > bench.limits.columns:
        message = f"The table has {len(names):,} columns; at most {bench.limits.columns:,} are taken."
        raise BadUpload("too_many_columns", message)
    repeated = (
        next((name for number, name in enumerate(names) if name in names[:number]), None)
        if len(set(names)) < len(names)
        else None
    )
    if repeated is not None:
        raise BadUpload("repeated_column", f"Two columns are called {shown(repeated)}; give each a name of its own.")
    label = bench.options.label
    if label is not None and label not in names:
        nearest = difflib.get_close_matches(label, names[:MOST_CLASSES], n=1)
        hint = f"did you mean {shown(nearest[0])}? Found" if nearest else "found"
        known = ", ".join(shown(name) for name in names[:10])
        raise BadUpload("unknown_label", f"There is no column {shown(label)} to take the labels from; {hint} {known}.")


def _choose_columns(bench: Bench, scans: list[ColumnScan]) -> list[tuple[int, TableColumn]]:
    """Return the columns to keep with their places, telling of those that are left out or look odd."""
    kept = []
    for number, scan in enumerate(scans):
        kind = scan.kind(is_label=scan.name == bench.options.label) if scan.count else None
        if kind is None:
            _remark_left_out(bench, scan)
            continue
        column = scan.column(kind)
        kept.append((number, column))
        if len(scan.values) == 1 and not scan.missing:
            bench.remark(
                "constant_column", f"The column {shown(scan.name)} always holds {shown(next(iter(scan.values)))}."
            )
        if scan.is_numbering:
            bench.remark(
                "numbering_column", f"The column {shown(scan.name)} numbers the rows; leave it out if it means nothing."
            )
    if not kept:
        raise BadUpload("nothing_to_learn", "No column holds numbers, dates or a few values that could be learnt.")
    return kept


def _remark_left_out(bench: Bench, scan: ColumnScan) -> None:
    name = shown(scan.name)
    if scan.name == bench.options.label:
        raise BadUpload(
            "unfit_label", f"The column {name} has no or more than {MOST_CLASSES:,} values to be the labels."
        )
    if not scan.count:
        bench.remark("empty_column", f"The column {name} is empty and was left out.")
    else:
        example = shown(min(scan.values))
        message = f"The column {name} is text of many different values, such as {example}, and was left out."
        bench.remark("text_column", message)


def _write_table(bench: Bench, kept: list[tuple[int, TableColumn]], source: Source) -> DatasetFacts:
    bench.check_modality("a table", "table", "vector")
    columns = tuple(column for _, column in kept)
    label = bench.options.label or label_column_for(columns)
    with bench.write_rows(np.float64, (len(columns),)) as writer:
        classes = [_write_piece(rows, columns, label, writer.append) for rows in _numbers(kept, source)]
    names = next((labels_of(column) for column in columns if column.name == label), ())
    counts: tuple[int, ...] = ()
    if names:
        every = np.concatenate(classes)
        bench.write_labels(every, len(names), writer.count)
        counts = tuple(int(count) for count in np.bincount(every, minlength=len(names)))
    return DatasetFacts(
        bench.upload.name, "table", table_shape(columns), writer.count, bench.upload.sha256,
        labels=names, columns=tuple(column.name for column in columns), table=columns,
        label_column=label if names else "", label_counts=counts,
    )  # fmt: skip


def _write_piece(
    rows: np.ndarray, columns: Sequence[TableColumn], label: str, append: Callable[[np.ndarray], None]
) -> np.ndarray:
    """Write rows and return the label of each: its category, or the one after the last for a missing cell."""
    append(rows)
    for number, column in enumerate(columns):
        if column.name == label:
            labels: np.ndarray = np.nan_to_num(rows[:, number], nan=len(column.categories)).astype(np.int64)
            return labels
    return np.zeros(0, np.int64)


def _write_vectors(bench: Bench, kept: list[tuple[int, TableColumn]], source: Source) -> DatasetFacts:
    """Store a table of numbers as vectors, because the owner says that it is no table."""
    label = bench.options.label
    places = [(number, column) for number, column in kept if column.name != label]
    unfit = [column for _, column in places if column.kind not in ("integer", "continuous") or column.missing]
    if unfit or not places:
        name = shown(unfit[0].name) if unfit else "any"
        raise BadUpload(
            "unfit_column", f"Vectors are made of whole columns of numbers, which {name} is not; send a table."
        )
    with bench.write_rows(np.float32, (len(places),)) as writer:
        for rows in _numbers(places, source):
            writer.append(rows.astype(np.float32))
    names = _write_labels_alone(bench, [one for one in kept if one[1].name == label], source, writer.count)
    return DatasetFacts(
        bench.upload.name, "vector", (len(places),), writer.count, bench.upload.sha256,
        labels=names, columns=tuple(column.name for _, column in places),
    )  # fmt: skip


def _write_labels_alone(
    bench: Bench, labels: list[tuple[int, TableColumn]], source: Source, count: int
) -> tuple[str, ...]:
    if not labels:
        return ()
    column = labels[0][1]
    if column.missing:
        raise BadUpload("unfit_label", f"The column {shown(column.name)} has empty cells; give every row its label.")
    classes = np.concatenate([rows[:, 0] for rows in _numbers(labels, source)]).astype(np.int64)
    bench.write_labels(classes, len(column.categories), count)
    return column.categories


def _numbers(kept: Iterable[tuple[int, TableColumn]], source: Source) -> Iterator[np.ndarray]:
    """Yield rows (n, C) float64."""
    readers = [(number, reader_of(column)) for number, column in kept]
    for cells in source():
        yield np.stack([read(cells[number]) for number, read in readers], axis=1)
