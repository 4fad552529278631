"""Several trainings of one shape whose steps are one function, each operation of which is carried out for all at once.

Each training remains one by itself, with its own rows and its own state: its tensors are views into those of all.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from service.spec.shape import shape_of
from worker.gan.compiled import Compiled, Compiler, to_native_code
from worker.gan.traced import Trace, for_many, trace
from worker.gan.training import Training
from worker.gan.whole_step import Due, Inputs, Play


class Cohort:
    """Takes the steps of trainings of one shape, all planned as compiled. Raises ValueError where shapes differ."""

    def __init__(self, trainings: Sequence[Training], *, compiler: Compiler = to_native_code) -> None:
        if len({shape_of(training.spec) for training in trainings}) != 1:
            raise ValueError("the trainings of a cohort have one shape")
        for training in trainings:
            training.whole_step.carrier = _WithOthers()
        self._lanes: list[Training | None] = list(trainings)
        self._stacked: dict[str, Tensor] = {}
        self._carrier = Compiled(lambda: self._stacked, compiler, tracer=self._trace)

    def step(self) -> None:
        """Take one full iteration of every training and record its row, without waiting for the device.

        Raises CompilerFailed, and ValueError where steps of different kinds are due.
        """
        started = time.perf_counter()
        planned = {place: training.plan_step() for place, training in self._present()}
        first, *others = planned.values()
        if any(each.kind != first.kind for each in others):
            raise ValueError("the trainings of a cohort take steps of one kind")
        if not self._stacked:
            self._stack()  # only now, as the first steps have made the optimisers' moments

        # One step of all. A lane without a training is given what the first has.
        lanes = [planned.get(place, first).inputs.tensors() for place in range(len(self._lanes))]
        inputs = first.inputs.with_tensors(map(torch.stack, zip(*lanes, strict=True)))
        measured = self._carrier.carry_out(Due(first.play, inputs, first.kind))
        for place, training in self._present():
            training.record(measured[place], started)

    def leave(self, training: Training) -> None:
        """Let a training go, which is then of no more use.

        Its lane goes on without it: to compile anew for fewer would change the last bits of the others.
        """
        self._lanes[self._lanes.index(training)] = None

    def _present(self) -> list[tuple[int, Training]]:
        return [(place, training) for place, training in enumerate(self._lanes) if training is not None]

    def _stack(self) -> None:
        """Bring together the tensors of all, and let each training have its own there."""
        states = {place: training.changing() for place, training in self._present()}
        first = next(iter(states.values()))
        lanes = [states.get(place, first) for place in range(len(self._lanes))]
        self._stacked = {name: torch.stack([lane[name].detach() for lane in lanes]) for name in first}
        for place, state in states.items():
            for name, tensor in state.items():
                tensor.data = self._stacked[name][place]

    def _trace(self, play: Play, inputs: Inputs, stacked: Callable[[], Mapping[str, Tensor]]) -> Trace:
        """Write down the step of the first training, and by it that of all."""
        place, training = self._present()[0]
        own = inputs.with_tensors(tensor[place] for tensor in inputs.tensors())
        return for_many(trace(play, own, training.changing), stacked(), inputs)


class _WithOthers:
    """Stands where a training of a cohort would take its steps by itself."""

    def carry_out(self, due: Due) -> Tensor:
        """Refuse."""
        raise TypeError("a training in a cohort takes its steps with the others")

    def forget(self) -> None:
        """Refuse: the tensors of a training that is restored are no longer those of the cohort."""
        raise TypeError("a training in a cohort is not restored")
