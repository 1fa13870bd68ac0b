"""Muon for the hidden matrices, AdamW for embeddings, head, router and norms.

Muon: momentum orthogonalised by five Newton-Schulz steps (K. Jordan, "Muon: an optimizer for hidden layers", 2024); the update is
scaled by 0.2 sqrt(max(rows, columns)) to the size of an Adam update (arXiv 2502.16982, section 2.2). The matrices of all experts
of one shape are orthogonalised in one batch.
"""

from dataclasses import dataclass

import torch

from model import Compute

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.95


@dataclass(frozen=True)
class Rates:
    muon: float = 1e-2
    adam: float = 5e-3
    router: float = 0.1  # times adam: a router that moves fast sends stored facts to other experts
    experts: float = 1.0  # times muon, for the routed experts
    weight_decay: float = 0.01


def orthogonalise(gradient, steps=5):
    a, b, c = COEFFICIENTS
    x = gradient.to(Compute.dtype)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if tall else x).float()


class Optimizer:
    def __init__(self, model, rates):
        self._rates = rates
        named = dict(model.named_parameters())
        router = [p for n, p in named.items() if "mlp.gate.weight" in n]
        tables = [named["model.embed_tokens.weight"], named["lm_head.weight"]]
        vectors = [p for p in named.values() if p.dim() < 2]
        elsewhere = {id(p) for p in router + tables + vectors}
        self._matrices = [p for p in named.values() if id(p) not in elsewhere]
        experts = {id(p) for n, p in named.items() if ".mlp.experts." in n}
        groups = [dict(params=tables, weight_decay=rates.weight_decay, factor=1.0), dict(params=vectors, weight_decay=0.0, factor=1.0)]
        if router:
            groups.append(dict(params=router, weight_decay=0.0, factor=rates.router))
        self._adam = torch.optim.AdamW(groups, lr=rates.adam, betas=(0.9, 0.95), eps=1e-10, fused=True)
        self._by_shape = {}
        for p in self._matrices:
            factor = rates.experts if id(p) in experts else 1.0
            self._by_shape.setdefault(tuple(p.shape[-2:]), []).append((p, torch.zeros_like(p), factor))

    def state(self):
        """What a checkpoint must hold: the momenta by reference, and Adam's state."""
        return [m for entries in self._by_shape.values() for _, m, _ in entries], self._adam.state_dict()

    @torch.no_grad()
    def restore(self, state):
        for target, source in zip(self.state()[0], state[0]):
            target.copy_(source)
        self._adam.load_state_dict(state[1])

    @torch.no_grad()
    def step(self, factor):
        """One update with both learning rates times factor; clears the gradients."""
        for group in self._adam.param_groups:
            group["lr"] = self._rates.adam * factor * group["factor"]
        self._adam.step()
        rate = self._rates.muon * factor
        for shape, entries in self._by_shape.items():
            for p, momentum, _ in entries:
                momentum.lerp_(p.grad, 1 - MOMENTUM)
            nesterov = torch.cat([(p.grad * (1 - MOMENTUM) + m * MOMENTUM).view(-1, *shape) for p, m, _ in entries])
            updates = orthogonalise(nesterov) * (0.2 * max(shape) ** 0.5)
            counts = [p.numel() // (shape[0] * shape[1]) for p, _, _ in entries]
            for (p, _, k), update in zip(entries, updates.split(counts)):
                p.mul_(1 - rate * k * self._rates.weight_decay).add_(update.view_as(p), alpha=-rate * k)
        for p in self._matrices:
            p.grad = None
        self._adam.zero_grad(set_to_none=True)


@torch.no_grad()
def balance(gates, rate):
    """The bias update after a step: in proportion to the missing load, so that it comes to rest once balanced (the sign update of
    the DeepSeek-V3 report, section 2.1.2, jitters by as much as the scores of so few experts spread)."""
    for gate in gates:
        mean = gate.load.mean()
        gate.e_score_correction_bias += rate * ((mean - gate.load) / mean).clamp(-1, 1)
        gate.load.zero_()
