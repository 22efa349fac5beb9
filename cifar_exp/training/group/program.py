"""Several networks, their losses and their optimizers as one program."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from cifar_exp import seeds
from cifar_exp.components.datasets import Split
from cifar_exp.components.losses.context import count_classes
from cifar_exp.components.precision import float32_products
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import evaluation, hardware, untrained
from cifar_exp.training.group.captured import CapturedStep
from cifar_exp.training.group.loss import StackedLoss
from cifar_exp.training.group.network import stack, weights_of
from cifar_exp.training.group.optimizer import StackedOptimizer, structure
from cifar_exp.training.group.schedule import StackedSchedule
from cifar_exp.training.loader import epoch_batches, make_batch, num_batches, progress_of


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NetworkState:
    """The state of one network and its optimizer."""

    weights: Mapping[str, torch.Tensor]
    """Its state dict."""
    optimizer: Mapping[str, Mapping[str, torch.Tensor]]
    """Its optimizer's tensors, by parameter and name."""
    num_steps: int
    """Number of optimizer steps done."""
    loss_memory: torch.Tensor
    """The memory of its loss, see `Context`."""
    average: Mapping[str, torch.Tensor] | None
    """The state dict of the average of its weights, if there is one."""

    def to_cpu(self) -> NetworkState:
        """Return a copy on the CPU."""
        return NetworkState(
            weights=_copies(self.weights),
            optimizer={name: _copies(state) for name, state in self.optimizer.items()},
            num_steps=self.num_steps,
            loss_memory=_copy(self.loss_memory),
            average=None if self.average is None else _copies(self.average),
        )


def in_order(configs: Mapping[int, TrialConfig]) -> list[int]:
    """Return the keys of trainings in the order of a program: like optimizers side by side."""
    return sorted(configs, key=lambda key: (repr(structure(configs[key].optimizer_settings)), key))


def check_state(state: NetworkState, config: TrialConfig, initial: torch.nn.Module) -> None:
    """Check that a state is of this network and its optimizer.

    Raises:
        KeyError, RuntimeError: It is of another network or optimizer.
    """
    copied = copy.deepcopy(initial)
    copied.load_state_dict(dict(state.weights))
    if config.ema is not None:
        copied.load_state_dict(dict(state.average or {}))
    StackedOptimizer([config], _trained(stack([initial]))).load_state(0, state.optimizer)


def _trained(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the parameters that are trained, by name."""
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


class Program:
    """Trains several networks at once on the same batches.

    Args:
        configs: The training of each network, in the order of `in_order`. They differ in loss,
            optimizer, schedule, their settings and learning rate only.
        initial: The untrained network of all of them.
        train: The training split, on the device.
        states: The state of each network; None for the initial one.
        num_classes: Number of logits of a network.
    """

    def __init__(
        self,
        configs: Sequence[TrialConfig],
        initial: torch.nn.Module,
        train: Split,
        states: Sequence[NetworkState | None],
        num_classes: int,
    ) -> None:
        self._config = configs[0]
        self._shapes = initial.state_dict()
        self._network = stack([initial] * len(configs)).to(hardware.device())
        self._parameters = _trained(self._network)
        losses = [config.loss_settings for config in configs]
        self._loss = StackedLoss(losses, count_classes(train.labels, num_classes), len(train))
        self._optimizer = StackedOptimizer(configs, self._parameters)
        self._schedule = StackedSchedule(
            [config.schedule_settings for config in configs],
            num_batches(len(train), self._config.batch_size),
            self._config.epochs,
            hardware.device(),
        )
        self._augment = self._config.augment
        self._num_classes = num_classes
        self._train = train
        self._average = untrained.build_average(self._network, self._config)
        self._totals = torch.zeros(len(configs), device=hardware.device())
        for index, state in enumerate(states):
            if state is not None:
                self._load(index, state)
        self._forward = torch.compile(self._network) if self._config.compile else self._network
        self._step = CapturedStep(self._config.batch_size)

    def train_epoch(self, epoch: int) -> list[float]:
        """Train an epoch; return the mean loss of each network, not finite if it has diverged."""
        config = self._config
        torch.manual_seed(seeds.derive("epoch", config.seed, epoch))  # dropout's draws
        self._network.train()
        self._totals.zero_()
        self._schedule.begin(epoch)
        num_images = 0
        num_steps = num_batches(len(self._train), config.batch_size)
        batches = epoch_batches(self._train, self._augment, config.batch_size, config.seed, epoch)
        with float32_products(config.precision):
            for step, (chosen, draws) in enumerate(batches):
                done = progress_of(epoch, step, num_steps, config.epochs)
                progress = torch.full((), done, device=chosen.device)
                batch = {"chosen": chosen, "progress": progress, **draws}
                self._step(batch, self._step_on, self._tensors)
                num_images += len(chosen)
        means: list[float] = (self._totals / num_images).tolist()
        return means

    @torch.no_grad()
    def logits(self, split: Split, *, averaged: bool = False) -> torch.Tensor:
        """Return the outputs on a split: networks x N x C, float32.

        Args:
            split: The images.
            averaged: Whether to use the average of the weights, which there must be.
        """
        network = self._average.network if averaged and self._average else self._network
        network.eval()
        outputs = []
        precision = self._config.precision
        for batch in split.images.split(evaluation.EVALUATION_BATCH):
            with float32_products(precision), hardware.autocast(precision):
                outputs.append(self._by_network(network(batch.to(hardware.device()))))
        return torch.cat(outputs).transpose(0, 1)

    def state(self, index: int) -> NetworkState:
        """Return the state of a network; its tensors are views."""
        return NetworkState(
            weights=weights_of(self._network, index, self._shapes),
            optimizer=self._optimizer.state_of(index),
            num_steps=int(self._optimizer.count),
            loss_memory=self._loss.memory_of(index),
            average=self._average_of(index),
        )

    def _average_of(self, index: int) -> Mapping[str, torch.Tensor] | None:
        if self._average is None:
            return None
        return weights_of(self._average.network, index, self._shapes)

    def _load(self, index: int, state: NetworkState) -> None:
        own = self.state(index)
        for name, tensor in own.weights.items():
            tensor.copy_(state.weights[name])
        self._optimizer.load_state(index, state.optimizer)
        self._optimizer.count.fill_(state.num_steps)
        own.loss_memory.copy_(state.loss_memory)
        if self._average is not None and own.average is not None and state.average is not None:
            for name, tensor in own.average.items():
                tensor.copy_(state.average[name])
            self._average.count.fill_(state.num_steps)

    def _step_on(self, batch: Mapping[str, torch.Tensor]) -> None:
        """Train on one batch; no value is read by Python, so that this can be captured."""
        draws = {purpose: batch[purpose] for purpose in self._augment.all_purposes}
        images, targets, index = make_batch(
            self._train, self._augment, batch["chosen"], draws, self._num_classes
        )
        with hardware.autocast(self._config.precision):
            outputs = self._forward(images)
        losses = self._loss(self._by_network(outputs), targets, index, batch["progress"])
        gradients = torch.autograd.grad(losses.sum(), list(self._parameters.values()))
        by_name = dict(zip(self._parameters, gradients, strict=True))
        self._optimizer.step(by_name, self._schedule.next())
        if self._average is not None:
            self._average.update()
        self._totals.add_(losses.detach() * len(index))

    def _by_network(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return stacked outputs as N x networks x C, float32."""
        return outputs.float().reshape(len(outputs), len(self._totals), -1)

    def _tensors(self) -> list[torch.Tensor]:
        """Return all tensors that a step changes."""
        return [
            *self._network.state_dict().values(),
            *self._optimizer.tensors(),
            *self._schedule.tensors(),
            *self._loss.tensors(),
            *([] if self._average is None else self._average.tensors()),
            self._totals,
        ]


def _copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: _copy(tensor) for name, tensor in tensors.items()}


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)
