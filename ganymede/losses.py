"""The history of a job's losses in the client: columns of numbers, as lists or as numpy arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganymede.answers import LossesAnswer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Losses:
    """A reading of the history; `data` holds beside the columns their equilibrium, reduction and more."""

    data: LossesAnswer

    def __getitem__(self, column: str) -> list[float | None]:
        """Return a column, with None where a number is not finite."""
        return self.data["columns"][column]

    @property
    def columns(self) -> list[str]:
        """The names of the columns, `step` first."""
        return [*self.data["columns"]]

    def to_numpy(self) -> "dict[str, NDArray[np.generic]]":
        """Return each column as an array (steps,): `step` of int64, all others of float32 as they were recorded.

        A mapping of equal columns is what pandas.DataFrame and matplotlib take, too.
        """
        import numpy as np

        steps = np.array(self["step"], np.int64)
        arrays: dict[str, NDArray[np.generic]] = {"step": steps}
        for column in self.columns[1:]:
            arrays[column] = values = np.array(self[column], np.float32)  # None becomes nan
            named = self.data["nonfinite"].get(column, {})
            for place in np.flatnonzero(np.isnan(values)):
                values[place] = float(named[str(steps[place])])
        return arrays
