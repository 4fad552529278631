"""The training of one pair of networks: a step at a time, no job, no file, no callback."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from service.spec.columns import recorded_columns
from service.spec.facts import facts_to_json
from service.spec.job import JobSpec
from service.spec.objectives import reduction_factor, scores_in_batch
from service.spec.plan import Plan
from worker.gan.batches import RealBatches
from worker.gan.captured import Captured, RatedPlayer
from worker.gan.compiled import Compiled, Compiler, WrittenOutAdam, to_native_code
from worker.gan.data.training_data import TrainingData, as_seen_by
from worker.gan.ema import Average
from worker.gan.loops import iterate
from worker.gan.networks.players import Discriminator, Generator
from worker.gan.networks.registry import make_networks
from worker.gan.objectives.registry import OBJECTIVES
from worker.gan.penalties.registry import make_penalties
from worker.gan.player import Player
from worker.gan.randomness import Stream, random_for, seed_torch
from worker.gan.recorder import Recorder
from worker.gan.rounds import Round, Rules, View
from worker.gan.sampling import sample, shown_labels
from worker.gan.schedules import weight_at
from worker.gan.state import (
    ENCODING,
    TrainingState,
    copied,
    learnt_of,
    load_network,
    load_optimizer,
    named,
    optimizer_tensors,
    part,
)
from worker.gan.turns import Turn
from worker.gan.views.augment import Augment
from worker.gan.views.noise import Noise
from worker.gan.whole_step import Due, WholeStep

KNOWN_COLUMNS = ("g_lr", "d_lr", "r1_gamma", "r2_gamma", "step_ms")
"""What the host knows by itself. All other columns are measured on the device and stay there until they are taken."""


class Training:
    """A training that is pulled step by step. It follows from its arguments alone, to the last bit.

    The spec must be resolved. Other networks than those it names can be given; they are trained in place. Without a
    plan steps are eager; a planned `compiler` makes native code of them.
    """

    def __init__(
        self,
        spec: JobSpec,
        data: TrainingData,
        *,
        device: torch.device,
        dtype: torch.dtype,
        networks: tuple[Generator, Discriminator] | None = None,
        plan: Plan | None = None,
        compiler: Compiler = to_native_code,
    ) -> None:
        if spec.seed is None:
            raise ValueError("a spec without a seed is not resolved")
        self.spec, self.seed = spec, spec.seed
        self.opened = data  # as it is measured against, whatever networks see of it
        self.data = data = as_seen_by(spec.model.architecture, data)
        self.step_number = 0
        self._seen_elsewhere = 0  # by a job that this one continues with other batches, beyond what it would have seen
        self.merits: dict[int, float] = {}  # of measured steps; kept here, so that a resume stops where it should
        self._device, self._dtype = device, dtype
        self._arithmetic = arithmetic_of(spec, device)

        generator, discriminator = networks or make_networks(
            spec.model, data, random_for(self.seed, Stream.INITIAL_WEIGHTS, 0)
        )
        if plan is not None and plan.layout == "channels_last":
            generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = Player(generator.to(device, dtype), spec.optimizer.generator)
        self.discriminator = Player(discriminator.to(device, dtype), spec.optimizer.discriminator)
        self.average = Average(generator, spec.model.ema) if spec.model.ema.half_life_samples else None
        self.draw_latents = generator.draw_latents
        self._penalties = make_penalties(spec.objective)
        self._augment = None if spec.objective.augment is None else Augment(spec.objective.augment)
        remembering = self._penalties if self._augment is None else {**self._penalties, "augment": self._augment}
        self._memory = nn.ModuleDict(remembering).to(device, dtype)

        self._real_batches = make_batches(spec, data, device, dtype)
        self._measured = tuple(column for column in recorded_columns(spec) if column not in KNOWN_COLUMNS)
        reduction, count = spec.objective.reduction, scores_in_batch(spec)
        factors = [reduction_factor(column, reduction, count) for column in self._measured]
        self._factors = torch.tensor(factors, device=device, dtype=dtype)
        self.recorder = Recorder(self._measured, KNOWN_COLUMNS, device=device)
        self._whole_step: WholeStep | None = None
        if plan is not None and plan.step != "eager":
            planned = RatedPlayer if plan.step == "captured" else WrittenOutAdam
            self._whole_step = WholeStep(
                spec.loop.variant,
                planned(self.generator),
                planned(self.discriminator),
                average=self.average,
                measure=self._measure,
                carrier=Captured(self.changing) if plan.step == "captured" else Compiled(self.changing, compiler),
            )

    @property
    def whole_step(self) -> WholeStep:
        """How steps are taken as one function; raises TypeError where they are not."""
        if self._whole_step is None:
            raise TypeError("the steps of this training are not whole")
        return self._whole_step

    @property
    def samples_seen(self) -> int:
        """How many real samples the discriminator has been trained on."""
        return self._seen_elsewhere + self.step_number * self._samples_per_step

    @property
    def rate_factor(self) -> float:
        """What both learning rates are multiplied with; part of the state."""
        return self.generator.rate_factor

    @rate_factor.setter
    def rate_factor(self, factor: float) -> None:
        self.generator.rate_factor = self.discriminator.rate_factor = factor

    def step(self) -> None:
        """Take one full iteration and record its row, without waiting for the device."""
        started = time.perf_counter()
        rounds, share = self._begin_step()
        self.record(self._take(rounds, share), started)

    def plan_step(self) -> Due:
        """Begin an iteration that somebody else carries out, who then has it recorded."""
        rounds, share = self._begin_step()
        return self.whole_step.plan(rounds, share=share)

    def record(self, measured: Tensor, started: float) -> None:
        """Write the row of the iteration that began last, at a time of the performance counter."""
        step = self.step_number - 1
        gammas = (weight_at(self.spec.objective.r1, step), weight_at(self.spec.objective.r2, step))
        known = (self.generator.lr_at(step), self.discriminator.lr_at(step), *gammas)
        # Nothing here asks the device for a value.
        self.recorder.write(measured, (*known, 1e3 * (time.perf_counter() - started)))

    def _begin_step(self) -> tuple[Sequence[Round], float]:
        """Return the rounds of an iteration and how far the average moves at its end."""
        step, loop = self.step_number, self.spec.loop
        seed_torch(self.seed, step, self._device)
        rules = self._rules()

        # The rounds of the discriminator, each with fresh reals and fakes, and what the variant makes of the last.
        first = step * loop.discriminator_steps
        rounds = [self._round(update, rules) for update in range(first, first + loop.discriminator_steps)]
        self.step_number += 1
        return rounds, self._share_at(step)

    def _take(self, rounds: Sequence[Round], share: float) -> Tensor:
        """Play the rounds, let the average follow, counted in real samples, and measure the row (M,)."""
        if self._whole_step is not None:
            return self._whole_step.take(self._whole_step.plan(rounds, share=share))
        d_turn, g_turn = iterate(self.spec.loop.variant, rounds)
        if self.average is not None:
            self.average.follow(share)
        return self._measure(d_turn, g_turn)

    def _share_at(self, step: int) -> float:
        """Return how far the average moves after `step` completed steps and the one just taken."""
        if self.average is None:
            return 0.0
        return self.average.share_at(self._samples_per_step, samples_seen=self.samples_seen, step=step)

    def sample(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Sample the average, or the generator where none is kept; answers on the host, in network units."""
        network = self.generator.network if self.average is None else self.average.network
        labels = None if labels is None else labels.to(self._device)
        return sample(network, latents.to(self._device, self._dtype), labels)

    def draw(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Sample the generator as it is trained, without the average; answers on the host, in network units."""
        labels = None if labels is None else labels.to(self._device)
        return sample(self.generator.network, latents.to(self._device, self._dtype), labels)

    def score(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Return D's logits of samples (N, *shape) in network units, one for each or each pack, on the host."""
        labels = None if labels is None else labels.to(self._device)
        return sample(self.discriminator.network, samples.to(self._device, self._dtype), labels)

    def fixed_latents(self) -> tuple[Tensor, Tensor | None]:
        """Return the latents of the timeline, the same throughout a training, and for labelled data their classes."""
        count = self.spec.samples.count
        latents = self.draw_latents(count, random_for(self.seed, Stream.SAMPLES, 0))
        return latents, shown_labels(count, self.data.facts) if self.spec.model.conditional else None

    def sample_for_quality(self, count: int, labels: Tensor | None) -> Tensor:
        """Sample from latents that are the same at each measuring point, so that points differ by the weights alone."""
        return self.sample(self.draw_latents(count, random_for(self.seed, Stream.QUALITY, 0)), labels)

    def state(self) -> TrainingState:
        """Copy everything that the next step depends on to the host."""
        return TrainingState(copied(self.tensors()), self.facts())

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state where they are, for who copies them; the next step changes them."""
        of_modules = {owner: module.state_dict() for owner, module in self._modules().items()}
        return self._with_optimizers(of_modules) | learnt_of(self.data)

    def facts(self) -> dict[str, object]:
        """Return the facts of the state, which share nothing with the training."""
        return {
            "step": self.step_number,
            "samples_seen": self.samples_seen,
            "rate_factor": self.rate_factor,
            **self.spec.model_dump(mode="json", include={"model", "dataset"}),
            "data": facts_to_json(self.data.facts),
            "merits": list(self.merits.items()),
        }

    def restore(self, state: TrainingState) -> None:
        """Continue after the step of a state; the next row recorded is that of the step after it."""
        self._see_as(state)
        load_network(self.generator.network, part("generator", state.tensors))
        load_network(self.discriminator.network, part("discriminator", state.tensors))
        load_optimizer(self.generator, part("optimizer.generator", state.tensors))
        load_optimizer(self.discriminator, part("optimizer.discriminator", state.tensors))
        self._remember(state)
        if self.average is not None:
            load_network(self.average.network, part("ema", state.tensors))
        if self._whole_step is not None:
            self._whole_step.forget()
        self.step_number = state.facts["step"]
        self._seen_elsewhere = state.facts["samples_seen"] - self.step_number * self._samples_per_step
        self.rate_factor = state.facts.get("rate_factor", 1.0)  # checkpoints of before rollbacks name none
        self.merits = dict(state.facts.get("merits", []))
        self.recorder.restart(first_step=self.step_number + 1)

    def _remember(self, state: TrainingState) -> None:
        """Take over what penalties and views have learnt. A fork may have others, or a probability of its own."""
        for name, module in self._memory.items():
            learnt = part(f"memory.{name}", state.tensors)
            if learnt and not (isinstance(module, Augment) and not module.adapts):
                load_network(module, learnt)

    def _see_as(self, state: TrainingState) -> None:
        """See the data as the networks of a state learnt to, where that differs from what would be learnt here."""
        before, now = part(ENCODING, state.tensors), part(ENCODING, learnt_of(self.data))
        if self.data is self.opened or all(torch.equal(before[name], now[name]) for name in now):
            return
        learnt = {name: tensor.numpy() for name, tensor in before.items()}
        self.data = as_seen_by(self.spec.model.architecture, self.opened, learnt)
        self._real_batches = make_batches(self.spec, self.data, self._device, self._dtype)

    def changing(self) -> dict[str, Tensor]:
        """Return all tensors that a step may change, where they are, by name."""
        of_modules = {
            owner: dict((*module.named_parameters(), *module.named_buffers()))
            for owner, module in self._modules().items()
        }
        return self._with_optimizers(of_modules)

    def _modules(self) -> dict[str, nn.Module]:
        modules = {
            "generator": self.generator.network,
            "discriminator": self.discriminator.network,
            "memory": self._memory,
        }
        return modules if self.average is None else {**modules, "ema": self.average.network}

    def _with_optimizers(self, of_modules: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return tensors under the names of their owners, those of the optimisers among them."""
        players = {"optimizer.generator": self.generator, "optimizer.discriminator": self.discriminator}
        owned = {**of_modules, **{owner: optimizer_tensors(player) for owner, player in players.items()}}
        return {name: tensor for owner, tensors in owned.items() for name, tensor in named(owner, tensors).items()}

    @property
    def _samples_per_step(self) -> int:
        return self.spec.loop.batch_size * self.spec.loop.discriminator_steps

    def _rules(self) -> Rules:
        spec, count = self.spec.objective, scores_in_batch(self.spec)
        return Rules(
            objective=OBJECTIVES[spec.loss],
            real_label=1.0 - spec.label_smoothing,
            d_factor=reduction_factor("d_loss", spec.reduction, count),
            g_factor=reduction_factor("g_loss", spec.reduction, count),
            penalties=tuple(
                (weight, penalty)
                for name, penalty in self._penalties.items()
                if (weight := weight_at(getattr(spec, name), self.step_number)) > 0
            ),
            views=self._views(),
            kept=weight_at(spec.top_k, self.step_number),
            arithmetic=self._arithmetic,
        )

    def _views(self) -> tuple[View, ...]:
        deviation = weight_at(self.spec.objective.instance_noise, self.step_number)
        noise = (Noise(deviation),) if deviation > 0 else ()
        return noise if self._augment is None else (self._augment, *noise)

    def _round(self, update: int, rules: Rules) -> Round:
        def draw_latents(stream: Stream) -> Tensor:
            # Drawn on the host whatever the device, so that devices see the same latents.
            latents = self.draw_latents(self.spec.loop.batch_size, random_for(self.seed, stream, update))
            return latents.to(self._device, self._dtype, non_blocking=True)

        return Round(
            step=self.step_number,
            rules=rules,
            generator=self.generator,
            discriminator=self.discriminator,
            reals=self._real_batches.batch(update).to(self._device, self._dtype),
            draw_latents=draw_latents,
            random=random_for(self.seed, Stream.ROUND, update),
        )

    @torch.no_grad()
    def _measure(self, d_turn: Turn, g_turn: Turn) -> Tensor:
        """Gather the measured columns in their order, the losses as the reduction scales them."""
        terms = {
            **d_turn.terms,
            **g_turn.terms,
            **OBJECTIVES[self.spec.objective.loss].joint(d_turn.terms, g_turn.terms),
            "g_grad_norm": torch.nn.utils.get_total_norm(g_turn.gradients),
            "d_grad_norm": torch.nn.utils.get_total_norm(d_turn.gradients),
        }
        if self._augment is not None:
            terms["augment_p"] = self._augment.probability
        return torch.stack([terms[column] for column in self._measured]) * self._factors


def arithmetic_of(spec: JobSpec, device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Return what networks are called within: Micikevicius et al. 2018 (arXiv 1710.03740), without scaling the loss.

    bfloat16 has the range of float32, so that no gradient vanishes. Weights that were cast are forgotten at the end of
    each call, for updates move them in between.
    """
    if spec.resources.precision == "bfloat16":
        return partial(torch.autocast, device.type, torch.bfloat16)
    return nullcontext


def make_batches(spec: JobSpec, data: TrainingData, device: torch.device, dtype: torch.dtype) -> RealBatches:
    """Put data that is held onto the device, once and for all."""
    samples = data.samples.to(device, dtype) if isinstance(data.samples, Tensor) else data.samples
    labels = data.labels if spec.model.conditional else None
    if labels is not None and isinstance(samples, Tensor):
        labels = labels.to(device)
    return RealBatches(samples, labels, batch_size=spec.loop.batch_size, seed=spec.seed or 0)
