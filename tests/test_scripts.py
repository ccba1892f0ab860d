"""Scripts as tutorials and repositories write them: each gives with gpunn what PyTorch gives.

Their numbers come from NumPy, since the random streams differ.
"""

from __future__ import annotations

import copy
import io
import math
import random
from collections import deque

import numpy as np
import pytest

import gpunn


class Numbers:
    """Data and first values, the same for both libraries."""

    def __init__(self, torch):
        self.torch = torch
        self.rng = np.random.default_rng(0)

    def normal(self, *shape):
        return self.torch.from_numpy(self.rng.standard_normal(shape).astype("f4"))

    def classes(self, n, *shape):
        return self.torch.from_numpy(self.rng.integers(0, n, shape))

    def fill(self, model):
        with self.torch.no_grad():
            for p in model.parameters():
                p.copy_(self.normal(*p.shape) / math.sqrt(p.shape[-1] if p.ndim > 1 else 10))
        return model


def char_rnn(torch, numbers):
    """Truncated backpropagation through time, clipped; then greedy sampling."""
    nn = torch.nn
    text = "hello world, a tiny corpus. " * 5
    chars = sorted(set(text))
    ids = torch.tensor([chars.index(c) for c in text])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(len(chars), 12)
            self.lstm = nn.LSTM(12, 12, num_layers=2, batch_first=True)
            self.out = nn.Linear(12, len(chars))

        def forward(self, x, state=None):
            y, state = self.lstm(self.embed(x), state)
            return self.out(y), state

    model = numbers.fill(Model())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    state, log = None, []
    for start in range(0, 80, 20):
        x = torch.stack([ids[start : start + 20], ids[start + 5 : start + 25]])
        y = torch.stack([ids[start + 1 : start + 21], ids[start + 6 : start + 26]])
        if state is not None:
            state = tuple(s.detach() for s in state)
        scores, state = model(x, state)
        loss = nn.CrossEntropyLoss()(scores.view(-1, len(chars)), y.view(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        log.append((loss.item(), nn.utils.clip_grad_norm_(model.parameters(), 0.5).item()))
        optimizer.step()
    model.eval()
    x, state, sample = ids[:1].unsqueeze(0), None, ""
    with torch.no_grad():
        for _ in range(10):
            scores, state = model(x, state)
            x = torch.softmax(scores[0, -1] / 0.8, dim=-1).topk(3).indices[:1].view(1, 1)
            sample += chars[x.item()]
    return log, sample


def gpt(torch, numbers):
    """Tied weights, two parameter groups, a warm-up by hand, accumulated gradients, top-k."""
    nn, f = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.proj = nn.Linear(width, width, bias=False)
            self.mlp = nn.Sequential(
                nn.Linear(width, 32), nn.GELU(approximate="tanh"), nn.Linear(32, width)
            )
            self.heads = heads
            mask = torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16)
            self.register_buffer("mask", mask, persistent=False)

        def forward(self, x):
            b, t, c = x.size()
            q, k, v = self.qkv(self.norm1(x)).split(c, dim=2)
            q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in (q, k, v))
            scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
            y = f.softmax(scores, dim=-1) @ v
            fused = f.scaled_dot_product_attention(q, k, v, is_causal=True)
            assert torch.allclose(y, fused, atol=1e-5)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, c))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            parts = {
                "wte": nn.Embedding(20, 16),
                "wpe": nn.Embedding(16, 16),
                "h": nn.ModuleList([Block(16, 4) for _ in range(2)]),
                "ln_f": nn.LayerNorm(16),
            }
            self.transformer = nn.ModuleDict(parts)
            self.lm_head = nn.Linear(16, 20, bias=False)
            self.transformer.wte.weight = self.lm_head.weight
            self.apply(self._init)

        def _init(self, module):
            if isinstance(module, (nn.Linear, nn.Embedding)):
                torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)

        def forward(self, idx):
            places = torch.arange(idx.size(1), dtype=torch.long, device=idx.device)
            x = self.transformer.wte(idx) + self.transformer.wpe(places)
            for block in self.transformer.h:
                x = block(x)
            return self.lm_head(self.transformer.ln_f(x))

    model = numbers.fill(GPT())
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    groups = [
        {"params": [p for p in params.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in params.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    tokens, losses = numbers.classes(20, 4, 13), []
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (step + 1) / 4
        optimizer.zero_grad(set_to_none=True)
        for part in tokens.split(2):
            scores = model(part[:, :-1])
            loss = f.cross_entropy(scores.reshape(-1, 20), part[:, 1:].reshape(-1), ignore_index=-1)
            (loss / 2).backward()
        optimizer.step()
        losses.append(loss.item())
    idx = tokens[:1, :3]
    with torch.no_grad():
        for _ in range(8):
            scores = model(idx[:, -12:])[:, -1, :]
            best, _ = torch.topk(scores, 5)
            scores[scores < best[:, [-1]]] = -float("Inf")
            idx = torch.cat((idx, f.softmax(scores, dim=-1).argmax(-1, keepdim=True)), dim=1)
    return list(params), losses, idx.tolist()


def gan(torch, numbers):
    """Two optimizers, labels filled in place, and a penalty on the critic's gradient."""
    nn = torch.nn
    generator = nn.Sequential(
        nn.ConvTranspose2d(6, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True),
        nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    critic = nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(4, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
    )  # fmt: skip
    numbers.fill(generator), numbers.fill(critic)
    criterion = nn.BCELoss()
    optimizers = [
        torch.optim.Adam(m.parameters(), lr=2e-3, betas=(0.5, 0.999)) for m in (critic, generator)
    ]
    log = []
    for _ in range(3):
        critic.zero_grad()
        real, fake = numbers.normal(4, 1, 8, 8), generator(numbers.normal(4, 6, 1, 1))
        label = torch.full((4,), 1.0, dtype=torch.float)
        real_loss = criterion(critic(real).view(-1), label)
        real_loss.backward()
        label.fill_(0.0)
        fake_loss = criterion(critic(fake.detach()).view(-1), label)
        fake_loss.backward()
        optimizers[0].step()
        generator.zero_grad()
        label.fill_(1.0)
        loss = criterion(critic(fake).view(-1), label)
        loss.backward()
        optimizers[1].step()
        mixed = (0.3 * real + 0.7 * fake.detach()).requires_grad_(True)
        scores = critic(mixed)
        (slope,) = torch.autograd.grad(
            scores, mixed, torch.ones_like(scores), create_graph=True, retain_graph=True
        )
        penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        critic.zero_grad()
        penalty.backward()
        optimizers[0].step()
        log.append([real_loss.item(), fake_loss.item(), loss.item(), penalty.item()])
    return log


def dqn(torch, numbers):
    """A replay memory, masked next states, a target network that follows."""
    nn = torch.nn
    pick = random.Random(0)
    make = lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))  # noqa: E731
    policy, target = numbers.fill(make()), make()
    target.load_state_dict(policy.state_dict())
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2, amsgrad=True)
    memory, losses, state = deque(maxlen=20), [], numbers.normal(1, 4)
    for step in range(16):
        with torch.no_grad():
            action = policy(state).max(1).indices.view(1, 1)
        if pick.random() < 0.3:
            action = torch.tensor([[pick.randrange(2)]], dtype=torch.long)
        following = None if step % 5 == 4 else numbers.normal(1, 4)
        memory.append((state, action, following, torch.tensor([float(action.item())])))
        state = numbers.normal(1, 4) if following is None else following
        if len(memory) < 8:
            continue
        states, actions, nexts, rewards = zip(*pick.sample(list(memory), 8), strict=True)
        goes_on = torch.tensor([s is not None for s in nexts], dtype=torch.bool)
        values = torch.zeros(8)
        with torch.no_grad():
            known = torch.cat([s for s in nexts if s is not None])
            values[goes_on] = target(known).max(1).values
        expected = values * 0.99 + torch.cat(rewards)
        guess = policy(torch.cat(states)).gather(1, torch.cat(actions))
        loss = nn.SmoothL1Loss()(guess, expected.unsqueeze(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slow, fast = target.state_dict(), policy.state_dict()
        for key in fast:
            slow[key] = fast[key] * 0.05 + slow[key] * 0.95
        target.load_state_dict(slow)
        losses.append(loss.item())
    return losses, target.state_dict()


def resume(torch, numbers):
    """Three epochs, a checkpoint, three more: as six in one go."""
    nn, f = torch.nn, torch.nn.functional
    first = copy.deepcopy(
        numbers.fill(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)))
    )

    def start():
        model = copy.deepcopy(first)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def epochs(model, optimizer, scheduler, numbers_of):
        losses = []
        for epoch in numbers_of:
            rng = np.random.default_rng(epoch)
            x = torch.from_numpy(rng.standard_normal((16, 4)).astype("f4"))
            y = torch.from_numpy(rng.integers(0, 2, 16))
            loss = f.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return losses

    straight = epochs(*start(), range(6))
    model, optimizer, scheduler = start()
    losses = epochs(model, optimizer, scheduler, range(3))
    file = io.BytesIO()
    checkpoint = {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
    }
    torch.save(checkpoint, file)
    file.seek(0)
    model, optimizer, scheduler = start()
    checkpoint = torch.load(file, map_location=torch.device("cpu"), weights_only=True)
    model.load_state_dict(checkpoint["model_state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    torch.set_rng_state(checkpoint["rng"])
    losses += epochs(model, optimizer, scheduler, range(checkpoint["epoch"], 6))
    assert losses == straight
    return losses, scheduler.get_last_lr(), sorted(optimizer.state_dict()["param_groups"][0])


def experts(torch, numbers):
    """Rotary positions, RMS norm, experts chosen by row, adapters put in place of layers."""
    nn, f = torch.nn, torch.nn.functional

    class RMSNorm(nn.Module):
        def __init__(self, width, eps=1e-6):
            super().__init__()
            self.eps, self.weight = eps, nn.Parameter(torch.ones(width))

        def forward(self, x):
            scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
            return (x.float() * scale).type_as(x) * self.weight

    class Experts(nn.Module):
        def __init__(self, width, count, chosen):
            super().__init__()
            self.gate, self.chosen = nn.Linear(width, count, bias=False), chosen
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(width, 8), nn.SiLU(), nn.Linear(8, width))
                for _ in range(count)
            )

        def forward(self, x):
            rows = x.reshape(-1, x.shape[-1])
            weights, indices = torch.topk(self.gate(rows), self.chosen)
            weights = f.softmax(weights, dim=1, dtype=torch.float).type_as(rows)
            out = torch.zeros_like(rows)
            for i, expert in enumerate(self.experts):
                row, nth = torch.where(indices == i)
                out[row] += weights[row, nth, None] * expert(rows[row])
            return out.view(*x.shape)

    class LoRA(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base.requires_grad_(False)
            self.a = nn.Parameter(numbers.normal(2, base.in_features))
            self.b = nn.Parameter(torch.zeros(base.out_features, 2))

        def forward(self, x):
            return self.base(x) + (x @ self.a.T @ self.b.T) * 2.0

    def rotate(x):
        _, t, width = x.shape
        freqs = 1.0 / (10000 ** (torch.arange(0, width, 2)[: width // 2].float() / width))
        angles = torch.outer(torch.arange(t), freqs)
        cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
        half = torch.cat((-x[..., width // 2 :], x[..., : width // 2]), dim=-1)
        return x * cos + half * sin

    def adapt(module):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, LoRA(child))
            else:
                adapt(child)

    model = numbers.fill(nn.Sequential(RMSNorm(6), Experts(6, 4, 2), nn.Linear(6, 3)))
    x, y, losses = rotate(numbers.normal(2, 5, 6)), numbers.classes(3, 2, 5), []
    for adapted in (False, True):
        if adapted:
            model.requires_grad_(False)
            adapt(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-2)
        for _ in range(3):
            loss = f.cross_entropy(model(x).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    kinds = [type(m).__name__ for m in model.modules()]
    return losses, kinds, [n for n, p in model.named_parameters() if p.requires_grad]


def own_parts(torch, numbers):
    """A layer, an optimizer, a schedule and a Function of one's own."""
    nn, f = torch.nn, torch.nn.functional

    class Linear(nn.Module):
        def __init__(self, inside, outside, bias=True, device=None, dtype=None):
            super().__init__()
            kind = {"device": device, "dtype": dtype}
            self.weight = nn.Parameter(torch.empty((outside, inside), **kind))
            if bias:
                self.bias = nn.Parameter(torch.empty(outside, **kind))
            else:
                self.register_parameter("bias", None)
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
            if self.bias is not None:
                fan_in, _ = nn.init._calculate_fan_in_and_fan_out(self.weight)
                nn.init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

        def forward(self, x):
            return f.linear(x, self.weight, self.bias)

        def extra_repr(self):
            return f"bias={self.bias is not None}"

    class Optimizer(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3, mu=0.9):
            super().__init__(params, {"lr": lr, "mu": mu})

        @torch.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"], state["mean"] = 0, torch.zeros_like(p)
                    state["step"] += 1
                    state["mean"].mul_(group["mu"]).add_(p.grad, alpha=1 - group["mu"])
                    scale = state["mean"].abs().sqrt().add_(1e-8)
                    p.addcdiv_(state["mean"], scale, value=-group["lr"])
            return loss

    class Warmup(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base * min(1, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, width):
            ctx.save_for_backward(x)
            ctx.width = width
            return x.sign()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * (x.abs() < ctx.width).to(dy.dtype), None

    model = numbers.fill(nn.Sequential(Linear(3, 4), nn.Tanh(), Linear(4, 2, bias=False)))
    optimizer = Optimizer(model.parameters(), lr=1e-2)
    scheduler = Warmup(optimizer)
    x, y, log = numbers.normal(5, 3), numbers.normal(5, 2), []

    def closure():
        optimizer.zero_grad()
        loss = f.mse_loss(model(x), y) + Step.apply(model[0].weight, 0.5).sum()
        loss.backward()
        return loss

    for _ in range(5):
        log.append((optimizer.step(closure).item(), *scheduler.get_last_lr()))
        scheduler.step()
    vector = torch.nn.utils.parameters_to_vector(model.parameters())
    return log, vector, repr(model), optimizer.state_dict()["state"][0]["step"]


SCRIPTS = [char_rnn, gpt, gan, dqn, resume, experts, own_parts]


def plain(result):
    """Results without their libraries: arrays, texts, numbers."""
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [plain(value) for value in result]
    return result.detach().numpy() if hasattr(result, "detach") else result


def check_same(mine, theirs, place):
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs), place
        for key, value in theirs.items():
            check_same(mine[key], value, f"{place}[{key!r}]")
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs), place
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            check_same(a, b, f"{place}[{i}]")
    elif isinstance(theirs, (float, np.ndarray)):
        np.testing.assert_allclose(mine, theirs, 1e-3, 1e-5, strict=True, err_msg=place)
    else:
        assert mine == theirs, place


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_scripts(script):
    torch = pytest.importorskip("torch")
    mine = script(gpunn, Numbers(gpunn))
    check_same(plain(mine), plain(script(torch, Numbers(torch))), script.__name__)
