"""The random numbers of a loss: noted in one call, drawn as torch would draw them, put into calls for many lanes.

A training on the CPU draws its dropout from torch's one stream of random numbers. Lanes cannot share that stream: so
each seed has a generator of its own, in the state in which the training begins, and what a loss would draw is drawn from
it beforehand, in the same order, with the same shapes. What is not in this file stays random, but differs from the
training alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ALPHA = 1.7580993408473766  # of alpha dropout: minus the lower bound of SELU


class Draw(NamedTuple):
    """Hold one draw of random numbers: of what kind, how many, and in which order they lie in memory."""

    kind: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    p: float = 0.0

    def __call__(self, generator: torch.Generator) -> torch.Tensor:
        """Draw the numbers, as torch does."""
        made = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=generator.device)
        if self.kind == "rand":
            return made.uniform_(generator=generator)
        if self.kind == "randn":
            return made.normal_(generator=generator)
        made.bernoulli_(1 - self.p, generator=generator)
        return made if self.kind == "alpha" else made.div_(1 - self.p)


class Chances(TorchFunctionMode):
    """Take over what a loss draws: note it and draw it, or replay what has been drawn.

    Args:
        generator: draws, and every draw is noted.
        drawn: is replayed, in its order.
    """

    def __init__(self, generator: torch.Generator | None = None, drawn: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.generator = generator
        self.drawn = iter(drawn)
        self.noted: list[Draw] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        taken = TAKEN.get(func)
        return func(*args, **(kwargs or {})) if taken is None else taken(self, func, *args, **(kwargs or {}))

    def next(self, kind: str, like: torch.Tensor, p: float = 0.0) -> torch.Tensor:
        """Return the next random numbers, laid out like a tensor."""
        if self.generator is None:
            return next(self.drawn)
        made = torch.empty_like(like)
        draw = Draw(kind, tuple(made.shape), made.stride(), made.dtype, p)
        self.noted.append(draw)
        return draw(self.generator)


def _dropped(kind: str, features: Callable[[Any], tuple[int, ...]] | None = None) -> Callable[..., Any]:
    """Return dropout of this kind; of whole features where their shape is given."""

    def run(mode: Chances, func: Any, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if not training or p == 0 or not input.numel() or not 0 <= p <= 1:
            return func(input, p, training, inplace) if func is not torch.dropout else func(input, p, training)
        if p == 1:
            return input.mul_(0) if inplace else input * 0
        like = input if features is None else input.new_empty(features(input))
        noise = mode.next(kind, like, p)
        if kind == "alpha":
            a = 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
            shift = (noise - 1) * (ALPHA * a) + ALPHA * a * p
            return input.mul_(noise * a).add_(shift) if inplace else input * (noise * a) + shift
        return input.mul_(noise) if inplace else input * noise

    return run


def _features(batched: int | None = None) -> Callable[[Any], tuple[int, ...]]:
    """Return the shape of a noise that is one number for each feature; unbatched inputs have one dimension less."""

    def shape(input: Any) -> tuple[int, ...]:
        kept = 2 if batched is None or input.ndim == batched else 1
        return (*input.shape[:kept], *[1] * (input.ndim - kept))

    return shape


def _attention(
    mode: Chances,
    func: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Attend in plain operations, which go through lanes, and with a dropout that is drawn here."""
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    root = math.sqrt(1 / math.sqrt(query.size(-1)) if scale is None else scale)
    scores = (query * root) @ (key * root).transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    weights = torch.softmax(scores, -1)
    if dropout_p:
        weights = _dropped("dropout")(mode, functional.dropout, weights, dropout_p)
    return weights @ value


def _like(kind: str) -> Callable[..., Any]:
    def run(mode: Chances, func: Any, input: Any, **others: Any) -> torch.Tensor:
        if others:
            return func(input, **others)  # type: ignore[no-any-return]
        return mode.next(kind, input)

    return run


def _new(kind: str) -> Callable[..., Any]:
    def run(mode: Chances, func: Any, *size: Any, **others: Any) -> torch.Tensor:
        if others.get("generator") is not None or others.get("out") is not None:
            return func(*size, **others)  # type: ignore[no-any-return]
        return mode.next(kind, torch.empty(*size, **{k: v for k, v in others.items() if k not in ("generator", "out")}))

    return run


def _seen_through(function: Any) -> Callable[..., Any]:
    """Run a function of torch's in Python, which would come back here as a whole, so that the calls inside of it do."""
    blind = {name: lambda *_: False for name in vars(functional) if name.startswith("has_torch_function")}
    body = FunctionType(function.__code__, {**vars(functional), **blind}, function.__name__, function.__defaults__)
    body.__kwdefaults__ = function.__kwdefaults__

    def run(mode: Chances, func: Any, *args: Any, **kwargs: Any) -> Any:
        with mode:
            return body(*args, **kwargs)

    return run


def _layers(mode: Chances, func: Any, input: Any, begin: Any, weights: Any, *rest: Any) -> Any:
    """Run recurrent layers one by one, with a dropout between them that is drawn here."""
    if not isinstance(rest[0], bool) or rest[1] < 2 or not rest[2] or not rest[3]:  # a packed sequence; nothing to draw
        return func(input, begin, weights, *rest)
    bias, layers, p, training, both, batch_first = rest
    directions = 2 if both else 1
    states = (begin,) if torch.is_tensor(begin) else tuple(begin)
    each = len(weights) // layers
    ends = []
    run = input.transpose(0, 1) if batch_first else input
    for layer in range(layers):
        rows = tuple(state[layer * directions : (layer + 1) * directions] for state in states)
        own = weights[layer * each : (layer + 1) * each]
        run, *end = func(run, rows if len(rows) > 1 else rows[0], own, bias, 1, 0.0, training, both, False)
        ends.append(end)
        if layer < layers - 1:
            run = _dropped("dropout")(mode, functional.dropout, run, p)
    return (run.transpose(0, 1) if batch_first else run, *(torch.cat(parts) for parts in zip(*ends, strict=True)))


TAKEN: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropped("dropout"),
    torch.dropout: _dropped("dropout"),
    functional.dropout1d: _dropped("dropout", _features(3)),
    functional.dropout2d: _dropped("dropout", _features()),
    functional.dropout3d: _dropped("dropout", _features(5)),
    functional.alpha_dropout: _dropped("alpha"),
    functional.feature_alpha_dropout: _dropped("alpha", _features()),
    functional.scaled_dot_product_attention: _attention,
    functional.multi_head_attention_forward: _seen_through(functional.multi_head_attention_forward),
    **dict.fromkeys((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu), _layers),
    torch.rand_like: _like("rand"),
    torch.randn_like: _like("randn"),
    torch.rand: _new("rand"),
    torch.randn: _new("randn"),
}
