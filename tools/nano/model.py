"""DeepSeek-V3's architecture at nano size, for training on a CPU. Parameter names are those of Hugging Face's DeepseekV3ForCausalLM,
except that the experts of a layer are kept in one tensor (export.py takes them apart).

Sources: DeepSeek-V3 report (arXiv 2412.19437) section 2.1.1 (MLA) and 2.1.2 (sigmoid router, bias for load balance without an
auxiliary loss, groups).
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Config:
    vocab_size: int = 1792
    hidden_size: int = 96
    intermediate_size: int = 192  # width of a dense FFN
    moe_intermediate_size: int = 32
    num_hidden_layers: int = 3
    num_attention_heads: int = 3
    n_routed_experts: int = 64
    num_experts_per_tok: int = 4
    n_shared_experts: int = 1
    n_group: int = 8
    topk_group: int = 4
    routed_scaling_factor: float = 2.5
    kv_lora_rank: int = 32
    qk_nope_head_dim: int = 24
    qk_rope_head_dim: int = 8
    v_head_dim: int = 32
    first_k_dense_replace: int = 1  # = num_hidden_layers: a dense model
    rope_theta: float = 10000.0
    max_position_embeddings: int = 1024

    def to_dict(self):
        return asdict(self)


MODELS = {
    "nano-moe": Config(),
    "nano-dense-flops": Config(first_k_dense_replace=3, intermediate_size=192),
    "nano-dense-params": Config(first_k_dense_replace=3, intermediate_size=1472),
}

EPSILON = 1e-6


class Compute:
    """The type of matrix products; parameters and their updates are always float32."""

    dtype = torch.bfloat16


def linear(x, weight):
    return F.linear(x.to(Compute.dtype), weight.to(Compute.dtype))


class Weight(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))


class RmsNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, EPSILON).to(Compute.dtype)


class CausalAttention(torch.autograd.Function):
    """Softmax attention over [heads, length, dim] with its own backward: twice as fast as the CPU's fused one at length 192."""

    @staticmethod
    def forward(ctx, q, k, v, mask, scale):
        p = torch.softmax(torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale), -1)
        ctx.save_for_backward(q, k, v, p)
        ctx.scale = scale
        return torch.bmm(p, v)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, p = ctx.saved_tensors
        scores = torch._softmax_backward_data(torch.bmm(grad, v.transpose(1, 2)), p, -1, p.dtype)
        return (torch.bmm(scores, k) * ctx.scale, torch.bmm(scores.transpose(1, 2), q) * ctx.scale,
                torch.bmm(p.transpose(1, 2), grad), None, None)


def rotate(x, cos, sin):
    """RoPE on interleaved pairs, DeepSeek's layout."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class LatentAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        h = c.num_attention_heads
        self.q_proj = Weight(h * (c.qk_nope_head_dim + c.qk_rope_head_dim), c.hidden_size)
        self.kv_a_proj_with_mqa = Weight(c.kv_lora_rank + c.qk_rope_head_dim, c.hidden_size)
        self.kv_a_layernorm = RmsNorm(c.kv_lora_rank)
        self.kv_b_proj = Weight(h * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank)
        self.o_proj = Weight(c.hidden_size, h * c.v_head_dim)

    def forward(self, x, batch, length, cos, sin, mask):
        c = self.c
        h, nope, rope, dim = c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim
        q_nope, q_rope = linear(x, self.q_proj.weight).view(batch, length, h, nope + rope).transpose(1, 2).split([nope, rope], -1)
        latent, k_rope = linear(x, self.kv_a_proj_with_mqa.weight).split([c.kv_lora_rank, rope], -1)
        kv = linear(self.kv_a_layernorm(latent), self.kv_b_proj.weight).view(batch, length, h, nope + dim).transpose(1, 2)
        k_nope, v = kv.split([nope, dim], -1)
        k_rope = rotate(k_rope.view(batch, 1, length, rope), cos, sin).expand(batch, h, length, rope)
        q = torch.cat([q_nope, rotate(q_rope, cos, sin)], -1).reshape(batch * h, length, nope + rope)
        k = torch.cat([k_nope, k_rope], -1).reshape(batch * h, length, nope + rope)
        out = CausalAttention.apply(q, k, v.reshape(batch * h, length, dim), mask, (nope + rope) ** -0.5)
        return linear(out.view(batch, h, length, dim).transpose(1, 2).reshape(batch * length, h * dim), self.o_proj.weight)


class SwiGlu(nn.Module):
    def __init__(self, hidden, width):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = Weight(width, hidden), Weight(width, hidden), Weight(hidden, width)

    def forward(self, x):
        return linear(F.silu(linear(x, self.gate_proj.weight)) * linear(x, self.up_proj.weight), self.down_proj.weight)


class Dispatch(torch.autograd.Function):
    """Tokens [t, d] to expert slots [experts * capacity, d]. Every token fills exactly k slots, so the backward is a gather too."""

    @staticmethod
    def forward(ctx, x, token_of_slot, slot_of_pair, k):
        ctx.save_for_backward(slot_of_pair)
        ctx.k = k
        return torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, token_of_slot)

    @staticmethod
    def backward(ctx, grad):
        (slot_of_pair,) = ctx.saved_tensors
        return grad.index_select(0, slot_of_pair).view(-1, ctx.k, grad.shape[1]).sum(1), None, None, None


class Combine(torch.autograd.Function):
    """Weighted sum of each token's k expert outputs."""

    @staticmethod
    def forward(ctx, y, weights, token_of_slot, slot_of_pair):
        t, k = weights.shape
        chosen = y.index_select(0, slot_of_pair).view(t, k, -1)
        ctx.save_for_backward(chosen, weights, token_of_slot, slot_of_pair)
        return torch.bmm(weights.to(y.dtype).unsqueeze(1), chosen).squeeze(1)

    @staticmethod
    def backward(ctx, grad):
        chosen, weights, token_of_slot, slot_of_pair = ctx.saved_tensors
        grad = grad.to(chosen.dtype)
        grad_weights = torch.bmm(chosen, grad.unsqueeze(2)).squeeze(2).to(weights.dtype)
        weight_of_slot = grad.new_zeros(token_of_slot.numel())
        weight_of_slot[slot_of_pair] = weights.reshape(-1).to(grad.dtype)
        padded = torch.cat([grad, grad.new_zeros(1, grad.shape[1])])
        return padded.index_select(0, token_of_slot) * weight_of_slot[:, None], grad_weights, None, None


class Gate(nn.Module):
    """DeepSeek-V3's router: sigmoid scores; the bias takes part in the choice of groups and experts, never in the weights."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.weight = nn.Parameter(torch.empty(c.n_routed_experts, c.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(c.n_routed_experts))
        self.register_buffer("load", torch.zeros(c.n_routed_experts), persistent=False)

    def forward(self, x):
        c = self.c
        scores = torch.sigmoid(F.linear(x.float(), self.weight))
        with torch.no_grad():
            biased = scores + self.e_score_correction_bias
            group_scores = biased.view(len(x), c.n_group, -1).topk(2, -1).values.sum(-1)
            kept = torch.zeros_like(group_scores).scatter_(1, group_scores.topk(c.topk_group, -1).indices, 1.0)
            biased = biased.masked_fill(kept.repeat_interleave(c.n_routed_experts // c.n_group, 1) == 0, float("-inf"))
            chosen = biased.topk(c.num_experts_per_tok, -1, sorted=False).indices
        weights = scores.gather(1, chosen)
        return chosen, weights / (weights.sum(-1, keepdim=True) + 1e-20) * c.routed_scaling_factor


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        e, width, hidden = c.n_routed_experts, c.moe_intermediate_size, c.hidden_size
        self.gate_proj = nn.Parameter(torch.empty(e, width, hidden))
        self.up_proj = nn.Parameter(torch.empty(e, width, hidden))
        self.down_proj = nn.Parameter(torch.empty(e, hidden, width))

    def forward(self, x):
        def product(a, w):
            return torch.bmm(a, w.to(Compute.dtype).transpose(1, 2))

        return product(F.silu(product(x, self.gate_proj)) * product(x, self.up_proj), self.down_proj)


class MixtureOfExperts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.gate, self.experts = Gate(c), Experts(c)
        self.shared_experts = SwiGlu(c.hidden_size, c.moe_intermediate_size * c.n_shared_experts)

    def forward(self, x):
        c, t = self.c, len(x)
        e, k = c.n_routed_experts, c.num_experts_per_tok
        chosen, weights = self.gate(x)
        with torch.no_grad():
            expert_of_pair = chosen.reshape(-1)
            counts = torch.bincount(expert_of_pair, minlength=e)
            self.gate.load += counts
            capacity = (int(counts.max()) + 7) // 8 * 8
            by_expert = expert_of_pair.argsort(stable=True)
            first = counts.cumsum(0) - counts
            slot_of_pair = torch.empty_like(expert_of_pair)
            slot_of_pair[by_expert] = expert_of_pair[by_expert] * capacity + torch.arange(t * k) - first[expert_of_pair[by_expert]]
            token_of_slot = torch.full((e * capacity,), t, dtype=torch.long)
            token_of_slot[slot_of_pair] = torch.arange(t * k) // k
        slots = Dispatch.apply(x, token_of_slot, slot_of_pair, k).view(e, capacity, -1)
        routed = Combine.apply(self.experts(slots).view(e * capacity, -1), weights, token_of_slot, slot_of_pair)
        return routed + self.shared_experts(x)


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.input_layernorm, self.self_attn = RmsNorm(c.hidden_size), LatentAttention(c)
        self.post_attention_layernorm = RmsNorm(c.hidden_size)
        self.mlp = SwiGlu(c.hidden_size, c.intermediate_size) if index < c.first_k_dense_replace else MixtureOfExperts(c)

    def forward(self, x, *attention):
        x = x + self.self_attn(self.input_layernorm(x), *attention)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = Weight(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c.num_hidden_layers))
        self.norm = RmsNorm(c.hidden_size)


class Nano(nn.Module):
    def __init__(self, config, seed=0):
        super().__init__()
        self.config = config
        self.model, self.lm_head = Body(config), Weight(config.vocab_size, config.hidden_size)
        self._initialise(seed)
        pairs = torch.arange(0, config.qk_rope_head_dim, 2) / config.qk_rope_head_dim
        angles = torch.arange(config.max_position_embeddings)[:, None] * config.rope_theta ** -pairs[None]
        self._cos, self._sin = angles.cos(), angles.sin()
        self._masks = {}

    def _initialise(self, seed):
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if p.dim() < 2:
                continue
            std = p.shape[-1] ** -0.5
            if "embed_tokens" in name or "lm_head" in name:
                std = 0.02
            elif "mlp.gate.weight" in name:
                std = 0.1  # logits of about unit spread: with smaller ones the balancing bias, not the token, would choose
            elif "o_proj" in name or "down_proj" in name:
                std *= (2 * self.config.num_hidden_layers) ** -0.5
            with torch.no_grad():
                p.copy_(torch.randn(p.shape, generator=generator) * std)

    def gates(self):
        return [layer.mlp.gate for layer in self.model.layers if isinstance(layer.mlp, MixtureOfExperts)]

    def _mask(self, length):
        key = (length, Compute.dtype)
        if key not in self._masks:
            self._masks[key] = torch.full((1, length, length), float("-inf"), dtype=Compute.dtype).triu(1)
        return self._masks[key]

    def forward(self, ids, positions=None):
        """ids [batch, length] -> logits [batch * length, vocab], or only of the given flat positions."""
        batch, length = ids.shape
        x = F.embedding(ids, self.model.embed_tokens.weight).view(batch * length, -1)
        attention = (batch, length, self._cos[:length].to(Compute.dtype), self._sin[:length].to(Compute.dtype), self._mask(length))
        for layer in self.model.layers:
            x = layer(x, *attention)
        if positions is not None:
            x = x[positions]
        return linear(self.model.norm(x), self.lm_head.weight)

    def parameter_counts(self):
        """(total, active per token). The embedding is a table look-up and does not count as active."""
        c = self.config
        total = sum(p.numel() for p in self.parameters())
        idle = (c.n_routed_experts - c.num_experts_per_tok) * 3 * c.hidden_size * c.moe_intermediate_size
        return total, total - self.model.embed_tokens.weight.numel() - len(self.gates()) * idle


