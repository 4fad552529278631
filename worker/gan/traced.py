"""A step as a graph of torch's operations, to which every tensor that it changes is handed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from worker.gan.whole_step import Inputs, Play, undone


def _norms(tensors: Sequence[Tensor], order: float = 2, dtype: torch.dtype | None = None) -> list[Tensor]:
    return [torch.linalg.vector_norm(tensor, order, dtype=dtype) for tensor in tensors]


def _lerp_in_place(tensor: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    return tensor.copy_(torch.lerp(tensor, end, weight))


_IN_OTHER_WORDS: dict[OpOverload, Callable[..., Any]] = {
    torch.ops.aten._foreach_norm.Scalar: _norms,  # noqa: SLF001 (it has no other name)
    torch.ops.aten.lerp_.Tensor: _lerp_in_place,
}
"""Operations that compilers, or torch.vmap, know only as several others."""


@dataclass(frozen=True)
class Trace:
    """graph(*changed, *inputs.tensors()) takes a step: it changes the first in place and returns what was measured.

    All else that the step reads, such as factors, is part of the graph.
    """

    graph: GraphModule
    changed: tuple[str, ...]
    """The names of the tensors that the graph is handed first."""


def trace(play: Play, inputs: Inputs, changing: Callable[[], Mapping[str, Tensor]]) -> Trace:
    """Play a step, write down its operations, gradients included, and put the state back as it was."""

    def flat(*given: Tensor) -> Tensor:
        return play(inputs.with_tensors(given))

    with undone(changing), torch.enable_grad():
        graph = make_fx(flat, decomposition_table=_IN_OTHER_WORDS)(*inputs.tensors())
    changed = _hand_over(graph, changing())
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return Trace(graph, changed)


def for_many(one: Trace, state: Mapping[str, Tensor], inputs: Inputs) -> Trace:
    """Let a trace take the steps of many trainings at once, of which it was one.

    All that the new one is handed is that of all of them, stacked, and so is what it returns.
    """
    handed = [*(state[name].clone() for name in one.changed), *inputs.tensors()]
    with torch.no_grad():
        graph = make_fx(torch.vmap(one.graph), decomposition_table=_IN_OTHER_WORDS)(*handed)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return Trace(graph, one.changed)


def _hand_over(graph: GraphModule, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Let the graph be given the tensors of the state that it refers to; return their names in order."""
    names = {id(tensor): name for name, tensor in state.items()}
    nodes = graph.graph.find_nodes(op="get_attr")
    referred = {node.target: names.get(id(getattr(graph, node.target))) for node in nodes}
    first = next(iter(graph.graph.nodes))
    handed: dict[str, Node] = {}
    for node in nodes:
        name = referred[node.target]
        if name is None:
            continue
        if name not in handed:
            with graph.graph.inserting_before(first):
                handed[name] = graph.graph.placeholder(f"state_{len(handed)}")
        node.replace_all_uses_with(handed[name])
        graph.graph.erase_node(node)
    for target, name in referred.items():
        if name is not None:
            delattr(graph, target)  # else it would count as an input, too, that shares memory with the one handed over
    for node in graph.graph.nodes:
        node.meta.clear()  # what torch has noted of each tensor would not agree from one to another
    return tuple(handed)
