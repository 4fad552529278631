"""Data sets, uploaded and built-in, as clients see them."""

from typing import Literal, cast

from pydantic import BaseModel, Field

from service.answers.writing import Moment, PageAnswer
from service.models import Dataset
from service.spec.facts import BuiltinDataset, ColumnKind, DatasetFacts, Modality, TableColumn
from service.spec.tables import as_written, is_choice
from service.store.datasets import facts_of

DatasetStatus = Literal["uploading", "preparing", "ready", "failed"]


class DatasetError(BaseModel):
    """Why a data set failed."""

    code: str
    message: str = Field(description="What is wrong, where, and what would be right.")


class DatasetWarning(BaseModel):
    """Something about the data that was put right, left out or is worth a look."""

    code: str
    message: str


class ColumnAnswer(BaseModel):
    """A column of an uploaded table."""

    name: str
    kind: ColumnKind
    categories: list[str] = Field(description="Its values, of words and truths.")
    decimals: int | None = Field(description="Digits after the point of numbers, null where they vary without end.")
    missing: bool = Field(description="Whether some cells are empty.")
    minimum: int | float | str | None = Field(description="Of numbers and dates, written as in `where` of samples.")
    maximum: int | float | str | None

    @classmethod
    def of(cls, column: TableColumn) -> "ColumnAnswer":
        """Tell a column."""
        has_range = not is_choice(column)
        return cls(
            name=column.name,
            kind=column.kind,
            categories=list(column.categories),
            decimals=column.decimals,
            missing=column.missing,
            minimum=as_written(column, column.minimum) if has_range else None,
            maximum=as_written(column, column.maximum) if has_range else None,
        )


class DatasetContent(BaseModel):
    """What is in a data set; told once it is ready."""

    modality: Modality
    shape: list[int] = Field(
        description="Of one sample as networks see it: (D,), (channels, height, width) or (1, frames)."
    )
    count: int = Field(description="Samples.")
    columns: list[str]
    table: list[ColumnAnswer] = Field(description="The columns of an uploaded table, with their kinds.")
    label: str | None = Field(description="The column of the table that holds the classes.")
    labels: list[str] = Field(description="The classes, empty where there are none.")
    sample_rate: int | None = Field(description="Frames of a second of audio.")

    @classmethod
    def of(cls, facts: DatasetFacts) -> "DatasetContent":
        """Tell the facts of a data set."""
        return cls(
            modality=facts.modality,
            shape=list(facts.shape),
            count=facts.count,
            columns=list(facts.columns) or [column.name for column in facts.table],
            table=[ColumnAnswer.of(column) for column in facts.table],
            label=facts.label_column or None,
            labels=list(facts.labels),
            sample_rate=facts.sample_rate,
        )


class DatasetEntry(BaseModel):
    """A data set. Its id is what `dataset` in a job's spec names."""

    id: str = Field(description="ds_..., or the name of a built-in one.")
    name: str | None
    builtin: bool
    status: DatasetStatus
    version: int = Field(description="Grows with every change; wait for the next one with ?wait=&since=.")
    sha256: str | None = Field(description="Of the uploaded bytes; checked where a spec carries it.")
    size_bytes: int | None = Field(description="Of the upload, as far as it has come.")
    stored_bytes: int = Field(description="Of all that is kept of it, which counts against your quota.")
    content: DatasetContent | None
    warnings: list[DatasetWarning]
    error: DatasetError | None
    created_at: Moment | None
    finished_at: Moment | None
    links: dict[str, str]

    @classmethod
    def of(cls, dataset: Dataset) -> "DatasetEntry":
        """Tell an uploaded data set."""
        facts = facts_of(dataset)
        return cls(
            id=dataset.id,
            name=dataset.name,
            builtin=False,
            status=cast("DatasetStatus", dataset.state),
            version=dataset.version,
            sha256=dataset.sha256,
            size_bytes=dataset.size_bytes,
            stored_bytes=dataset.stored_bytes,
            content=DatasetContent.of(facts) if facts else None,
            warnings=[DatasetWarning.model_validate(warning) for warning in dataset.warnings],
            error=_error_of(dataset),
            created_at=dataset.created_at,
            finished_at=dataset.finished_at,
            links=_links(dataset),
        )

    @classmethod
    def of_builtin(cls, builtin: BuiltinDataset) -> "DatasetEntry":
        """Tell a built-in data set, with its default parameters."""
        facts = builtin.facts(builtin.params())
        return cls(
            id=builtin.name,
            name=builtin.name,
            builtin=True,
            status="ready",
            version=1,
            sha256=facts.sha256,
            size_bytes=None,
            stored_bytes=0,
            content=DatasetContent.of(facts),
            warnings=[],
            error=None,
            created_at=None,
            finished_at=None,
            links={"self": f"/datasets/{builtin.name}"},
        )


class DatasetPage(PageAnswer[DatasetEntry]):
    """Your own data sets, newest first, then the built-in ones."""


def _error_of(dataset: Dataset) -> DatasetError | None:
    if dataset.error_code is None:
        return None
    return DatasetError(code=dataset.error_code, message=dataset.error_message or "")


def _links(dataset: Dataset) -> dict[str, str]:
    url = f"/datasets/{dataset.id}"
    return {"self": url} | ({"preview": f"{url}/preview"} if "preview" in dataset.files else {})
